"""The service as openstacksdk knows it."""

from typing import TYPE_CHECKING, Any

from openstack import service_description

from karbor_like_client.v1.proxy import Proxy

if TYPE_CHECKING:
    from openstack.connection import Connection


class DataProtectionService(service_description.ServiceDescription[Proxy]):
    """Makes ``conn.data_protection``.

    There is one version, and its endpoint in the catalogue contains the project, so no version is discovered.
    """

    supported_versions = {"1": Proxy}

    def __init__(self, service_type: str = "data-protect", **kwargs: Any) -> None:
        super().__init__(service_type, aliases=["data-protection"], **kwargs)

    def _make_proxy(self, instance: Any) -> Any:
        if not instance.config.has_service(self.service_type):
            # openstacksdk returns an object that raises ServiceDisabledException.
            return super()._make_proxy(instance)
        proxy = instance.config.get_session_client(self.service_type, constructor=Proxy)
        # Without a wanted version, keystoneauth takes the endpoint as it is, and makes no request to discover versions.
        proxy.version = proxy.min_version = proxy.max_version = None
        return proxy


SERVICE = DataProtectionService()


def add_to(connection: "Connection") -> Proxy:
    """Add ``data_protection`` to a connection, and return it.

    Can be named in ``clouds.yaml``: ``vendor_hook: "karbor_like_client:add_to"``.
    """
    connection.add_service(SERVICE)
    return SERVICE.__get__(connection, type(connection))
