from oslo_config import cfg

GROUP = cfg.OptGroup("waiter", title="Polling of operations in a cloud")

OPTS = [
    cfg.FloatOpt(
        "interval",
        default=0.25,
        min=0.001,
        help="""
Seconds between the first polls of an operation in a cloud. The first poll is immediate, and the next three follow after a
fifth, two fifths and four fifths of the interval. The interval then grows to a twentieth of the elapsed time, so that short
operations are noticed soon and long ones are polled rarely.
""",
    ),
    cfg.FloatOpt("max_interval", default=15.0, min=0.001, help="Maximum seconds between two polls."),
    cfg.FloatOpt(
        "timeout",
        default=1800.0,
        min=0.001,
        help="""
Seconds after which waiting fails with an error, if the duration does not depend on an amount of data. Plugins that copy
data add time per GiB with their own option.
""",
    ),
    cfg.IntOpt(
        "retries",
        default=4,
        min=0,
        help="""
Retries of a single call if the cloud does not respond, or responds that it is overloaded or failing (429, 5xx). The
interval doubles each time, and is at least what the cloud asks for (``Retry-After``), up to a minute. Polls are repeated
until the timeout instead.
""",
    ),
    cfg.IntOpt(
        "transfer_retries",
        default=10,
        min=0,
        help="""
Retries of a transfer of image data that the cloud interrupts or does not accept for now. The interval doubles each time, as
for ``retries``; with the defaults, a transfer outlasts an interruption of a minute. A download continues with the next byte,
and each piece that arrives resets the number of its retries. An upload is repeated from the beginning.
""",
    ),
]
