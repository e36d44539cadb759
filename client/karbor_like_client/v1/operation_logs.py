"""Logs of operations."""

from collections.abc import Generator
from typing import Any

from openstack import proxy, resource

from karbor_like_client.v1 import base, formats


class OperationLog(base.Resource):
    """What an operation did."""

    resource_key = "operation_log"
    resources_key = "operation_logs"
    base_path = "/operation_logs"
    allow_fetch = allow_list = True
    _query_mapping = resource.QueryParameters(
        "checkpoint_id",
        "plan_id",
        "restore_id",
        "status",
        "provider_id",
        "operation_type",
        "scheduled_operation_id",
        **base.PAGING,
    )

    #: ``protect``, ``restore``, ``delete``, ``verify``, ``copy``, ...
    operation_type = resource.Body("operation_type")
    checkpoint_id = resource.Body("checkpoint_id")
    plan_id = resource.Body("plan_id")
    provider_id = resource.Body("provider_id")
    restore_id = resource.Body("restore_id")
    verification_id = resource.Body("verification_id")
    #: Of a copy: the checkpoint that was copied.
    source_checkpoint_id = resource.Body("source_checkpoint_id")
    scheduled_operation_id = resource.Body("scheduled_operation_id")
    status = resource.Body("status")
    started_at = resource.Body("started_at", type=formats.Time)
    #: None until it has ended.
    ended_at = resource.Body("ended_at", type=formats.Time)
    #: Why it failed.
    error_info = resource.Body("error_info")
    extra_info = resource.Body("extra_info", type=formats.JsonText)


class OperationLogs(proxy.Proxy):
    """Requests about logs of operations."""

    def operation_logs(self, **query: Any) -> Generator[OperationLog, None, None]:
        """Yield logs.

        :param query: ``checkpoint_id``, ``plan_id``, ``restore_id``, ``status``, ``operation_type``, ``provider_id``,
            ``scheduled_operation_id``, ``all_projects``, ``project_id``, ``sort``, ``limit``, ``marker``
        """
        return self._list(OperationLog, **query)

    def get_operation_log(self, operation_log: str | OperationLog) -> OperationLog:
        """Return a log by its id.

        :raises NotFound: there is none
        """
        return self._get(OperationLog, operation_log)
