"""Options for connections to the other services of a cloud, and for the identities used there."""

import copy

from keystoneauth1 import loading
from oslo_config import cfg

from karbor_like.clients.services import SERVICES

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
Keystone URLs of the clouds that tenants may restore into ("restore_target" of a restore), such as
https://cloud.example.net/identity. Everything that such a cloud's catalogue names is called from here, so name only
clouds that you trust. Empty: restores into other clouds are refused.
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
