import socket

from oslo_config import cfg

GROUP = cfg.OptGroup("service", title="What every process says of itself")

OPTS = [
    cfg.HostAddressOpt(
        "host",
        default=socket.gethostname(),
        sample_default="node1",
        help="Name of this host in the list of services and in the RPC queues. Must differ between hosts.",
    ),
    cfg.IntOpt("report_interval", default=10, min=1, help="Seconds between two signs of life."),
    cfg.IntOpt(
        "down_time", default=60, min=2, help="Seconds without a sign of life after which a service is shown as down."
    ),
]
