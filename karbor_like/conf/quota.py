from oslo_config import cfg

GROUP = cfg.OptGroup("quota", title="Default quotas of projects")

OPTS = [
    cfg.IntOpt("plans", default=50, min=-1, help="Maximum number of plans of a project. -1 is unlimited."),
    cfg.IntOpt("checkpoints", default=-1, min=-1, help="Maximum number of checkpoints of a project. -1 is unlimited."),
]
