"""The OpenStack services that this project calls, in one table.

A row is all that a further service needs: its options (:mod:`karbor_like.conf.clients`), its client
(:mod:`karbor_like.clients.factory`) and the translation of its client's exceptions (:mod:`karbor_like.clients.errors`)
follow from it. The module imports nothing of this project and no client library: each takes half a second to import.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from keystoneauth1 import adapter
from keystoneauth1.session import Session


@dataclass(frozen=True)
class Service:
    """One service.

    :param title: the service's name in option help
    :param catalogue_type: default of option ``service_type`` in group ``<name>_client``
    :param connect: creates a client from a session and the keyword arguments of a keystoneauth ``Adapter``
    :param timeout: default of option ``timeout``, seconds per request
    :param exceptions: base classes of the exceptions that the client raises, as module and name
    """

    title: str
    catalogue_type: str
    connect: Callable[..., Any]
    timeout: float = 60.0
    exceptions: tuple[tuple[str, str], ...] = ()


def _adapter(session: Session, **endpoint: Any) -> adapter.Adapter:
    return adapter.Adapter(session, **endpoint)


def _cinder(session: Session, **endpoint: Any) -> Any:
    from cinderclient import client

    # 3.30 offers messages (3.5) and snapshots of volumes in use by "force", which 3.66 removes. From 3.31 on, Cinder
    # refuses to list by name unless the operator's resource_filters.json allows it.
    return client.Client("3.30", session=session, **endpoint)


def _glance(session: Session, **endpoint: Any) -> Any:
    import glanceclient

    return glanceclient.Client("2", session=session, **endpoint)


def _nova(session: Session, *, interface: Any, **endpoint: Any) -> Any:
    from novaclient import client

    return client.Client("2.1", session=session, endpoint_type=interface, **endpoint)


def _heat(session: Session, **endpoint: Any) -> Any:
    from heatclient import client

    return client.Client("1", session=session, **endpoint)


def _keystone(session: Session, **endpoint: Any) -> adapter.Adapter:
    return adapter.Adapter(session, version="3", **endpoint)


SERVICES: Final[Mapping[str, Service]] = {
    "cinder": Service("Cinder", "volumev3", _cinder, exceptions=(("cinderclient.exceptions", "ClientException"),)),
    # Glance answers an upload only after its store has committed the image.
    "glance": Service(
        "Glance",
        "image",
        _glance,
        timeout=300.0,
        exceptions=(("glanceclient.exc", "BaseException"), ("glanceclient.exc", "ClientException")),
    ),
    "nova": Service("Nova", "compute", _nova, exceptions=(("novaclient.exceptions", "ClientException"),)),
    "heat": Service("Heat", "orchestration", _heat, exceptions=(("heatclient.exc", "BaseException"),)),
    "keystone": Service("Keystone", "identity", _keystone),
    "data_protect": Service("the REST API of this service itself (by the operation engine)", "data-protect", _adapter),
}
