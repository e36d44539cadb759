"""Indexes for what is read of all projects, and for the order of a journal."""

from karbor_like.db.migration import ddl

revision = "0028"
down_revision = "0027"

_CREATED = ("operations", "plans", "restores", "scheduled_operations", "triggers", "verifications")


def upgrade() -> None:
    for table in _CREATED:
        ddl.create_index(f"ix_{table}_created", table, ["created_at", "id"])
    ddl.create_index("ix_journal_entries_seq", "journal_entries", ["operation_id", "seq"])
    ddl.create_index("ix_plans_rpo", "plans", ["rpo_state", "project_id"])
    ddl.create_index("ix_scheduled_runs_ended", "scheduled_runs", ["ended_at"])
