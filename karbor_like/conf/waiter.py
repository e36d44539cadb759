from oslo_config import cfg

GROUP = cfg.OptGroup("waiter", title="Waiting for things in a cloud to happen")

OPTS = [
    cfg.FloatOpt(
        "interval",
        default=0.25,
        min=0.001,
        help="""
Seconds between the first polls of something that was started in a cloud. The first poll is made at once; the distance then
grows with the time waited so far (a twentieth of it), so that short jobs are noticed soon and long ones ask seldom.
""",
    ),
    cfg.FloatOpt("max_interval", default=15.0, min=0.001, help="Most seconds between two polls."),
    cfg.FloatOpt(
        "timeout",
        default=1800.0,
        min=0.001,
        help="""
Seconds after which waiting ends with an error, where the time does not depend on the size of what is copied. Plugins
that copy add time per GiB by an option of their own.
""",
    ),
    cfg.IntOpt(
        "retries",
        default=4,
        min=0,
        help="""
How often a single call is tried again after the cloud did not answer or answered that it is overloaded or broken (429, 5xx),
with twice the distance each time. Polls are repeated until the time-out instead.
""",
    ),
]
