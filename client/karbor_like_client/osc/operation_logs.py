"""Commands about logs of operations."""

from karbor_like_client.osc import base


class ListOperationLogs(base.List):
    """List logs of operations."""

    method = "operation_logs"
    headers = (
        "Id",
        "Operation Type",
        "Checkpoint id",
        "Plan Id",
        "Provider id",
        "Restore Id",
        "Scheduled Operation Id",
        "Status",
        "Started At",
        "Ended At",
        "Error Info",
        "Extra Info",
    )
    long = ("Verification id", "Source checkpoint id")
    filters = (
        base.by("status"),
        base.by("plan_id", "plan", "--plan"),
        base.by("checkpoint_id", None, "--checkpoint"),
        base.by("restore_id", None, "--restore"),
    )


class ShowOperationLog(base.ShowById):
    """Show the log of an operation."""

    noun = argument = "operation_log"
    named = False
