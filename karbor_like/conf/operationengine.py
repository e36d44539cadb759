from oslo_config import cfg

GROUP = cfg.OptGroup("operationengine", title="Operation engine: scheduled operations")

OPTS = [
    cfg.FloatOpt(
        "poll_interval",
        default=1.0,
        min=0.05,
        mutable=True,
        help="""
Seconds between polls of the database for due triggers and pending runs. A poll without results is one query that an index
answers, regardless of the number of triggers. A lower value starts runs closer to their due time.
""",
    ),
    cfg.IntOpt("batch", default=200, min=1, help="Maximum number of triggers that are fired in one transaction."),
    cfg.IntOpt(
        "workers",
        default=8,
        min=1,
        help="""
Runs that one engine processes concurrently. Workers spend most of their time waiting for the API. Raise it if many triggers
are due at the same time.
""",
    ),
    cfg.IntOpt(
        "lease",
        default=120,
        min=5,
        help="""
Seconds after which another engine takes over a run whose engine died. Must be longer than the slowest call to the API.
""",
    ),
    cfg.FloatOpt(
        "follow_interval",
        default=15.0,
        min=0.1,
        mutable=True,
        help="Seconds between polls of the status of a checkpoint that a run has started.",
    ),
    cfg.FloatOpt(
        "retry_interval",
        default=60.0,
        min=0.1,
        mutable=True,
        help="""
Seconds until a failed run is retried for the first time, and the shortest time between retries. They become rarer while the
window of the run lasts.
""",
    ),
    cfg.IntOpt(
        "max_missed",
        default=1000,
        min=1,
        help="""
Missed due times of one trigger that are recorded individually after a long outage of all engines. The others are recorded
as a single run that states their number.
""",
    ),
    cfg.IntOpt(
        "rpo_missed",
        default=2,
        min=0,
        mutable=True,
        help="""
Due times of a schedule, the last one with its window, after which its plan violates its recovery point objective unless a
checkpoint that was created since the last good one is available. The API, the metrics and a notification tell. 0 disables it.
""",
    ),
    cfg.IntOpt("keep_runs_days", default=90, min=1, help="Days after which records of ended runs are deleted."),
]
