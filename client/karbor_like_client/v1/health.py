"""The health of all parts of the service, for administrators."""

from openstack import proxy, resource

from karbor_like_client.v1 import base


class Health(base.Resource):
    """What works, and what does not."""

    resource_key = "health"
    base_path = "/health"
    allow_fetch = True
    requires_id = False

    healthy = resource.Body("healthy", type=bool)
    #: What does not work, as sentences.
    problems = resource.Body("problems", type=list)
    #: ``version``, ``expected`` and ``state`` of the database.
    schema = resource.Body("schema", type=dict)
    services = resource.Body("services", type=list)
    #: The state of each provider's bank, by process.
    providers = resource.Body("providers", type=list)
    queues = resource.Body("queues", type=list)


class HealthOfAll(proxy.Proxy):
    """Requests about health."""

    def get_health(self) -> Health:
        """Return the health of all parts of the service."""
        return self._get(Health, None, requires_id=False)
