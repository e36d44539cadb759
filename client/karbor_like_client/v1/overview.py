"""The totals of a project."""

from openstack import proxy, resource

from karbor_like_client.v1 import base


class Overview(base.Resource):
    """The totals of the caller's project. The reference of the API describes the members of each object."""

    resource_key = "overview"
    base_path = "/overview"
    allow_fetch = True
    requires_id = False

    #: ``total`` and ``by_status``; of plans also ``rpo_violated``.
    plans = resource.Body("plans", type=dict)
    checkpoints = resource.Body("checkpoints", type=dict)
    restores = resource.Body("restores", type=dict)
    verifications = resource.Body("verifications", type=dict)
    scheduled_operations = resource.Body("scheduled_operations", type=dict)
    #: ``queued`` and ``running``: numbers; ``newest``: at most five operation logs of these.
    operations = resource.Body("operations", type=dict)
    #: For 7 and 30 days and each type of operation.
    success_rates = resource.Body("success_rates", type=list)
    #: How the runs of schedules ended, for 7 and 30 days.
    scheduled_runs = resource.Body("scheduled_runs", type=list)
    #: Sums over all checkpoints, in bytes.
    storage = resource.Body("storage", type=dict)
    #: The same sums at the end of each of the last 30 days and now, oldest first.
    growth = resource.Body("growth", type=list)
    #: The next five runs of all schedules.
    next_runs = resource.Body("next_runs", type=list)
    #: At most five operation logs.
    last_failures = resource.Body("last_failures", type=list)


class OverviewOfProject(proxy.Proxy):
    """Requests about the totals of a project."""

    def get_overview(self) -> Overview:
        """Return the totals of the caller's project, by one request."""
        return self._get(Overview, None, requires_id=False)
