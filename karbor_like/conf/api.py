from oslo_config import cfg

GROUP = cfg.OptGroup("api", title="The REST API")

OPTS = [
    cfg.HostAddressOpt("host", default="0.0.0.0", help="Address to listen on."),  # noqa: S104 - a network service
    cfg.PortOpt("port", default=8799, help="Port to listen on. Several instances on one host may share it."),
    cfg.IntOpt(
        "workers",
        default=2,
        min=1,
        help="Processes that serve requests. Raise it if the processes use their CPU cores fully.",
    ),
    cfg.IntOpt(
        "threads",
        default=16,
        min=1,
        help="""
Threads per process. Requests spend most of their time waiting for the database or the protection service. At most three
quarters of the threads wait for the protection service and the operation engine, half of these for one project; further
requests that would are answered with status 503. Raise it if requests queue or are refused although the CPU is idle.
""",
    ),
    cfg.FloatOpt(
        "client_timeout",
        default=30.0,
        min=1.0,
        help="""
Seconds that a client may take to send a request, to read an answer, and between two requests on one connection. Then the
connection is closed.
""",
    ),
    cfg.FloatOpt(
        "request_timeout",
        default=120.0,
        min=1.0,
        help="""
Seconds that a request may wait for the protection service and the operation engine. Then it is answered with status 503.
What it started continues.
""",
    ),
    cfg.IntOpt(
        "max_limit",
        default=1000,
        min=1,
        help="Maximum number of items on a page, and the default if the client does not set a limit.",
    ),
    cfg.URIOpt(
        "public_url",
        schemes=["http", "https"],
        help="""
Scheme, host and path prefix of links in responses. Set it if a proxy hides them from this service. By default they are
taken from the request. Headers in which a proxy states them (Forwarded, X-Forwarded-Host, -Proto and -Prefix) are used
only with [oslo_middleware] enable_proxy_headers_parsing.
""",
    ),
    cfg.FloatOpt(
        "health_timeout",
        default=5.0,
        min=0.1,
        help="Seconds that /healthcheck waits for the protection service before it reports RPC as failed.",
    ),
]
