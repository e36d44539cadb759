"""Queries on restores."""

from karbor_like import exception
from karbor_like.db import models, repository

RESTORES = repository.Repository(
    models.Restore,
    noun="restore",
    not_found=exception.RestoreNotFound,
    filters=dict.fromkeys(("status", "project_id", "provider_id", "checkpoint_id"), repository.exact),
)
