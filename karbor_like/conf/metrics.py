from oslo_config import cfg

GROUP = cfg.OptGroup("metrics", title="Metrics for Prometheus, and the health of each process")

_PORT = """
Port of {} for /metrics and /healthz. Without it, none is opened. Every client that reaches the port can read both without a
token. {}
"""

OPTS = [
    cfg.HostAddressOpt(
        "host",
        default="127.0.0.1",
        help="""
Address to listen on. Use one of a private network if Prometheus runs on another host: there is no authentication.
""",
    ),
    cfg.PortOpt(
        "api_port",
        help=_PORT.format(
            "the API", "Each further worker process ([api] workers) listens on the next port: they count separately."
        ),
    ),
    cfg.PortOpt("protection_port", help=_PORT.format("the protection service", "")),
    cfg.PortOpt("operationengine_port", help=_PORT.format("the operation engine", "")),
    cfg.BoolOpt(
        "api_route",
        default=False,
        help="""
Whether the API also answers /metrics on its own address, without a token. For WSGI servers such as uwsgi and gunicorn; a
proxy in front of the API should refuse the path. Several worker processes must share a directory
(PROMETHEUS_MULTIPROC_DIR), because each answer comes from one of them.
""",
    ),
    cfg.FloatOpt(
        "interval",
        default=15.0,
        min=1.0,
        help="""
Seconds for which a process gives figures from the database again before it reads them again, no matter how many clients ask.
""",
    ),
    cfg.FloatOpt(
        "timeout",
        default=5.0,
        min=0.1,
        help="Seconds after which an answer is given without the figures from the database, or a health check has failed.",
    ),
    cfg.IntOpt(
        "plans",
        default=100,
        min=0,
        help="""
Maximum number of plans whose age of the last checkpoint is given, with their ids and those of their projects: those with the
oldest ones. 0 gives none.
""",
    ),
]
