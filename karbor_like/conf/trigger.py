from oslo_config import cfg

GROUP = cfg.OptGroup("trigger", title="What triggers may ask for")

OPTS = [
    cfg.IntOpt(
        "min_interval",
        default=3600,
        min=60,
        help="Seconds between two runs of a trigger at least. Must be twice max_window or more.",
    ),
    cfg.IntOpt(
        "min_window", default=900, min=1, help="Seconds that a run may be late: the smallest that may be asked."
    ),
    cfg.IntOpt(
        "max_window", default=1800, min=1, help="Seconds that a run may be late: the largest that may be asked."
    ),
]
