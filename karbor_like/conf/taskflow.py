from oslo_config import cfg

GROUP = cfg.OptGroup("taskflow", title="Workflow engine of the protection service")

OPTS = [
    cfg.StrOpt(
        "engine",
        default="parallel",
        help="TaskFlow engine (entry point in taskflow.engines). 'serial' runs one task at a time, which helps debugging.",
    ),
    cfg.StrOpt(
        "executor",
        default="threads",
        help="Executor of the tasks of a parallel engine (entry point in karbor_like.executors).",
    ),
    cfg.StrOpt(
        "persistence",
        default="database",
        help="Storage of flows, so that they survive their process (entry point in karbor_like.persistences).",
    ),
    cfg.IntOpt(
        "tasks_per_operation",
        default=8,
        min=1,
        help="""
Tasks of one operation that run concurrently. The process has this many threads for each of ``[protection] max_operations``.
Tasks spend most of their time waiting for a cloud. Raise it to speed up plans of many resources, unless the cloud is the
bottleneck.
""",
    ),
]
