"""Options for connections to the other services of a cloud, and for the identities used there.

:data:`SERVICES` is the one table of these services. A row is all that a further service needs: its options (below), its
client (``clients/factory.py``) and the translation of its client's exceptions (``clients/errors.py``) follow from it.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from keystoneauth1 import loading
from oslo_config import cfg


@dataclass(frozen=True)
class Service:
    """A service that this project calls.

    Client classes and exceptions are named, not imported, because each library takes half a second to import.

    :param title: the service's name in option help
    :param catalogue_type: default of option ``service_type`` in group ``<name>_client``
    :param client: ``module:function`` that creates a client from a version, a session and the keyword arguments of a
        keystoneauth ``Adapter``; None: the client is an ``Adapter``
    :param version: API version of the client
    :param interface: name of the client's argument for the interface of the endpoint
    :param timeout: default of option ``timeout``, seconds per request
    :param exceptions: base classes of the exceptions that the client raises, as module and name
    """

    title: str
    catalogue_type: str
    client: str | None = None
    version: str | None = None
    interface: str = "interface"
    timeout: float = 60.0
    exceptions: tuple[tuple[str, str], ...] = ()


SERVICES: Final[Mapping[str, Service]] = {
    # 3.30 offers messages (3.5) and snapshots of volumes in use by "force", which 3.66 removes. From 3.31 on, Cinder
    # refuses to list by name unless the operator's resource_filters.json allows it.
    "cinder": Service(
        "Cinder",
        "volumev3",
        "cinderclient.client:Client",
        "3.30",
        exceptions=(("cinderclient.exceptions", "ClientException"),),
    ),
    # Glance answers an upload only after its store has committed the image.
    "glance": Service(
        "Glance",
        "image",
        "glanceclient:Client",
        "2",
        timeout=300.0,
        exceptions=(("glanceclient.exc", "BaseException"), ("glanceclient.exc", "ClientException")),
    ),
    "nova": Service(
        "Nova",
        "compute",
        "novaclient.client:Client",
        "2.1",
        interface="endpoint_type",
        exceptions=(("novaclient.exceptions", "ClientException"),),
    ),
    "neutron": Service("Neutron", "network", "karbor_like.clients.neutron:Neutron", "2.0"),
    "trove": Service("Trove", "database", "karbor_like.clients.trove:Trove", "1.0"),
    "heat": Service(
        "Heat", "orchestration", "heatclient.client:Client", "1", exceptions=(("heatclient.exc", "BaseException"),)
    ),
    # 2.73 (OpenStack Zed) offers metadata of snapshots. The type may also be shared-file-system in the catalogue:
    # keystoneauth knows both.
    "manila": Service("Manila", "sharev2", "karbor_like.clients.manila:Manila", "2.73"),
    "keystone": Service("Keystone", "identity", version="3"),
    "data_protect": Service("the REST API of this service itself (by the operation engine)", "data-protect"),
}

#: The options of keystoneauth's Adapter that operators can set. Retries are excluded: keystoneauth resends a POST whose
#: answer was lost, which creates resources twice. API versions are excluded because the code fixes them.
ADAPTER_OPTIONS = ("service_type", "service_name", "valid_interfaces", "region_name", "endpoint_override")


def _session_options(timeout: float) -> list[cfg.Opt]:
    """Return keystoneauth's TLS and timeout options. Without the default set here, a silent peer would block a flow forever.

    :param timeout: default timeout, seconds
    """
    options = copy.deepcopy(loading.get_session_conf_options())
    cfg.set_defaults(options, timeout=timeout)
    return options


def _client_options(service_type: str, timeout: float) -> list[cfg.Opt]:
    adapter_options = copy.deepcopy(loading.get_adapter_conf_options(include_deprecated=False))
    options = [option for option in adapter_options if option.dest in ADAPTER_OPTIONS]
    cfg.set_defaults(options, service_type=service_type, valid_interfaces=["public"])
    return options + _session_options(timeout)


SERVICE_AUTH = cfg.OptGroup(
    "service_auth",
    title="The service user",
    help="""
The account of this service in Keystone. Its token goes along with the tenants' tokens, so that an operation may outlive
them: the account needs the role that the other services demand of service tokens (usually "service"). It is also the
trustee of the trusts by which scheduled operations act. The options below auth_type are those of the keystoneauth
plugin that it names.
""",
)

RESTORE_TARGET = cfg.OptGroup("restore_target", title="Restores into another cloud")

GROUPS: list[tuple[cfg.OptGroup, list[cfg.Opt]]] = [
    (SERVICE_AUTH, [*loading.get_auth_common_conf_options(), *_session_options(60.0)]),
    (
        RESTORE_TARGET,
        [
            cfg.ListOpt(
                "allowed_urls",
                default=[],
                help="""
Keystone URLs of other clouds that tenants may restore into ("restore_target" of a restore), such as
https://cloud.example.net/identity. Everything that such a cloud's catalogue names is called from here, so name only
clouds that you trust. Empty: restores into other clouds are refused. This cloud is always allowed: the auth_url of
[service_auth] and [keystone_authtoken], www_authenticate_uri, and the identity endpoints of the catalogue.
""",
            ),
            *_session_options(60.0),
        ],
    ),
    *(
        (
            cfg.OptGroup(f"{name}_client", title=f"How {service.title} is reached"),
            _client_options(service.catalogue_type, service.timeout),
        )
        for name, service in SERVICES.items()
    ),
]

#: keystoneauth registers a plugin's options when it knows which plugin; the sample shows those of the usual one.
SAMPLE_ONLY = {
    SERVICE_AUTH.name: [
        option
        for option in loading.get_auth_plugin_conf_options("v3password")
        if option.dest not in ("system_scope", "trust_id", "default_domain_id", "default_domain_name", "user_id")
    ]
}
