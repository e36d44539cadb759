from oslo_config import cfg

GROUP = cfg.OptGroup("trigger", title="Limits on triggers")

OPTS = [
    cfg.IntOpt(
        "min_interval",
        default=3600,
        min=60,
        help="Minimum seconds between two runs of a trigger. Must be at least twice max_window.",
    ),
    cfg.IntOpt(
        "min_window",
        default=900,
        min=1,
        help="Smallest window that a trigger may have, and the default: seconds after its due time in which a run may start.",
    ),
    cfg.IntOpt("max_window", default=1800, min=1, help="Largest window that a trigger may have, in seconds."),
]
