import socket

from oslo_config import cfg

GROUP = cfg.OptGroup("service", title="Identity and heartbeats of services")

OPTS = [
    cfg.HostAddressOpt(
        "host",
        default=socket.gethostname(),
        sample_default="node1",
        help="Name of this host in the list of services and in RPC queues. Must be unique for each host.",
    ),
    cfg.IntOpt("report_interval", default=10, min=1, help="Seconds between two heartbeats."),
    cfg.IntOpt(
        "down_time", default=60, min=2, help="Seconds without a heartbeat after which a service is shown as down."
    ),
    cfg.IntOpt(
        "hung_time",
        default=180,
        min=10,
        help="""
Seconds after which a thread of the protection service or the operation engine hangs that neither ends its step nor makes
progress. The list of services and the health of the service then name it. After five times as long the process ends, so that
its supervisor starts it again and other processes continue its operations. Must be longer than a call to the database can
take. Synchronizing and collecting banks have limits of their own.
""",
    ),
]
