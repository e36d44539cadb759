from oslo_config import cfg

GROUP = cfg.OptGroup("api", title="The REST API")

OPTS = [
    cfg.HostAddressOpt("host", default="0.0.0.0", help="Address to listen on."),  # noqa: S104 - a service for the network
    cfg.PortOpt("port", default=8799, help="Port to listen on. Several instances on one host may share it."),
    cfg.IntOpt(
        "workers",
        default=2,
        min=1,
        help="Processes that serve requests. Raise it where one CPU core per process is the limit.",
    ),
    cfg.IntOpt(
        "threads",
        default=16,
        min=1,
        help="Threads per process. Most of a request is waiting for the database or for the protection service.",
    ),
    cfg.IntOpt(
        "max_limit",
        default=1000,
        min=1,
        help="Items on a page at most, and where the client does not say how many it wants.",
    ),
    cfg.URIOpt(
        "public_url",
        schemes=["http", "https"],
        help="""
Scheme, host and path prefix of links in answers, where a proxy hides them from this service. Without it they are taken
from the request.
""",
    ),
    cfg.FloatOpt(
        "health_timeout",
        default=5.0,
        min=0.1,
        help="Seconds that /healthcheck waits for the protection service before it calls RPC broken.",
    ),
]
