from oslo_config import cfg

GROUP = cfg.OptGroup("quota", title="Limits of projects that have none of their own")

OPTS = [
    cfg.IntOpt("plans", default=50, min=-1, help="Plans that a project may have. -1 is no limit."),
    cfg.IntOpt("checkpoints", default=-1, min=-1, help="Checkpoints that a project may have. -1 is no limit."),
]
