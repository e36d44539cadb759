from oslo_config import cfg

GROUP = cfg.OptGroup("quota", title="Default quotas of projects")


def _limit(name: str, default: int, what: str) -> cfg.IntOpt:
    return cfg.IntOpt(name, default=default, min=-1, help=f"Maximum number of {what} of a project. -1 is unlimited.")


OPTS = [
    _limit("plans", 50, "plans"),
    _limit("checkpoints", -1, "checkpoints"),
    _limit("triggers", 200, "triggers"),
    _limit("scheduled_operations", 200, "scheduled operations"),
    _limit("restores", 100, "restores in progress"),
    _limit("verifications", 100, "verifications in progress"),
]
