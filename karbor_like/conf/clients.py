"""How this service reaches the other services of a cloud, and as whom."""

import copy

from keystoneauth1 import loading
from oslo_config import cfg

#: Options of keystoneauth's Adapter that are offered. Not its retries: they send a POST again whose answer was lost, and so
#: create things twice; nor its API versions, which the code fixes.
ADAPTER_OPTIONS = ("service_type", "service_name", "valid_interfaces", "region_name", "endpoint_override")


def _session_options(timeout: float) -> list[cfg.Opt]:
    """keystoneauth's TLS and time-out options. Its own default, no time-out at all, lets a silent peer hang a flow for ever.

    :param timeout: default, seconds
    """
    options = copy.deepcopy(loading.get_session_conf_options())
    cfg.set_defaults(options, timeout=timeout)
    return options


def _client_options(service_type: str, timeout: float) -> list[cfg.Opt]:
    found = copy.deepcopy(loading.get_adapter_conf_options(include_deprecated=False))
    options = [option for option in found if option.dest in ADAPTER_OPTIONS]
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

_CLIENTS = (
    ("cinder_client", "Cinder", "volumev3", 60.0),
    # An upload is answered only after the store behind Glance has committed it.
    ("glance_client", "Glance", "image", 300.0),
    ("nova_client", "Nova", "compute", 60.0),
    ("heat_client", "Heat", "orchestration", 60.0),
    ("keystone_client", "Keystone", "identity", 60.0),
    ("data_protect_client", "the REST API of this service itself (by the operation engine)", "data-protect", 60.0),
)

GROUPS: list[tuple[cfg.OptGroup, list[cfg.Opt]]] = [
    (SERVICE_AUTH, [*loading.get_auth_common_conf_options(), *_session_options(60.0)]),
    (
        RESTORE_TARGET,
        [
            cfg.ListOpt(
                "allowed_urls",
                default=[],
                help="""
Keystone URLs of the clouds that tenants may restore into ("restore_target" of a restore), such as
https://cloud.example.net/identity. Everything that such a cloud's catalogue names is called from here, so name only
clouds that you trust. Empty: restores into other clouds are refused.
""",
            ),
            *_session_options(60.0),
        ],
    ),
    *(
        (cfg.OptGroup(name, title=f"How {title} is reached"), _client_options(kind, t))
        for name, title, kind, t in _CLIENTS
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
