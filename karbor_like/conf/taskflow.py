from oslo_config import cfg

GROUP = cfg.OptGroup("taskflow", title="The workflow engine of the protection service")

OPTS = [
    cfg.StrOpt(
        "engine",
        default="parallel",
        help="TaskFlow engine (entry point in taskflow.engines). 'serial' runs one task at a time, for looking for a fault.",
    ),
    cfg.StrOpt(
        "executor",
        default="threads",
        help="What runs the tasks of a parallel engine (entry point in karbor_like.executors).",
    ),
    cfg.StrOpt(
        "persistence",
        default="database",
        help="Where flows are kept so that they survive their process (entry point in karbor_like.persistences).",
    ),
    cfg.IntOpt(
        "tasks_per_operation",
        default=8,
        min=1,
        help="""
Tasks of one operation that run at once; the process has that many threads for each of ``[protection] max_operations``.
Most of a task is waiting for a cloud, so more is faster for plans of many resources, until the cloud is the limit.
""",
    ),
]
