"""Queries on verifications."""

from karbor_like import exception
from karbor_like.db import models, repository

VERIFICATIONS = repository.Repository(
    models.Verification,
    noun="verification",
    not_found=exception.VerificationNotFound,
    filters=dict.fromkeys(("status", "project_id", "provider_id", "checkpoint_id"), repository.exact),
)
