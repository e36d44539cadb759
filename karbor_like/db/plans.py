"""Queries on plans."""

from karbor_like import exception
from karbor_like.db import models, repository

PLANS = repository.Repository(
    models.Plan,
    noun="plan",
    not_found=exception.PlanNotFound,
    filters={
        "name": repository.contains,
        "description": repository.contains,
        "status": repository.exact,
        "project_id": repository.exact,
        "provider_id": repository.exact,
    },
)
