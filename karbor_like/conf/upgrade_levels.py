from oslo_config import cfg

GROUP = cfg.OptGroup("upgrade_levels", title="Versions of RPC while services of two releases run")

_HELP = """
Version of the RPC of the {}s that this process calls, for an upgrade in which hosts are upgraded in turn: the version that
the services of the earlier release report (``karbor-like-status upgrade check``). What that version does not have is refused.
Remove it when all of these services are upgraded. Not set: the newest version that this release knows.
"""

#: One option for each kind of services that are called.
OPTS = [
    cfg.StrOpt(name, regex=r"^\d+\.\d+$", help=_HELP.format(service))
    for name, service in (("protection", "protection service"), ("operationengine", "operation engine"))
]
