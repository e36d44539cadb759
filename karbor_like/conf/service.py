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
]
