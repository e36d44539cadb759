from oslo_config import cfg

GROUP = cfg.OptGroup("operationengine", title="The operation engine: what runs by itself")

OPTS = [
    cfg.FloatOpt(
        "poll_interval",
        default=1.0,
        min=0.05,
        mutable=True,
        help="""
Seconds between looks for triggers that are due and runs that want attention. An idle look is one query that an index
answers, however many triggers there are.
""",
    ),
    cfg.IntOpt("batch", default=200, min=1, help="Triggers that are fired in one transaction."),
    cfg.IntOpt(
        "workers", default=8, min=1, help="Runs that one engine works on at once. Most of it is waiting for the API."
    ),
    cfg.IntOpt(
        "lease",
        default=120,
        min=5,
        help="""
Seconds after which another engine goes on with a run whose engine died. Must be longer than any one call to the API takes.
""",
    ),
    cfg.FloatOpt(
        "follow_interval",
        default=15.0,
        min=0.1,
        mutable=True,
        help="Seconds between looks at a checkpoint that a run started and that did not end yet.",
    ),
    cfg.FloatOpt(
        "retry_interval",
        default=60.0,
        min=0.1,
        mutable=True,
        help="Seconds until a run that failed is tried again, as long as its window lasts.",
    ),
    cfg.IntOpt(
        "max_missed",
        default=1000,
        min=1,
        help="""
Missed times of one trigger that are recorded one by one after nobody ran an engine for long. What is more is recorded
as one, which says how many they were.
""",
    ),
    cfg.IntOpt("keep_runs_days", default=90, min=1, help="Days for which runs that ended are remembered."),
]
