from oslo_config import cfg

GROUP = cfg.OptGroup("protection", title="The protection service")

OPTS = [
    cfg.StrOpt(
        "provider_config_dir",
        default="providers.d",
        help="""
Directory of the providers' files (``*.conf``, one provider each). A relative path is looked for beside the main
configuration file, then in the working directory, then in /etc/karbor_like.
""",
    ),
    cfg.IntOpt(
        "max_operations",
        default=8,
        min=1,
        help="""
Operations (protect, restore, delete, verify, copy) that one service runs at once. More wait in the queue, where projects
take turns. Raise it where the clouds and banks are faster than the queue is long.
""",
    ),
    cfg.IntOpt(
        "max_streams",
        default=4,
        min=1,
        help="""
Resources whose bytes one service moves at once, over all its operations. Each needs memory for the blocks in flight (see
``[bank] memory_budget`` of the providers) and about one CPU core.
""",
    ),
    cfg.IntOpt(
        "lease",
        default=60,
        min=3,
        help="""
Seconds after which another service takes over the operations of one that died. A database that is away for longer than
that makes a healthy service stop what it runs, too; it goes on with it when the database is back.
""",
    ),
    cfg.FloatOpt(
        "poll_interval",
        default=5.0,
        min=0.1,
        mutable=True,
        help="Seconds between looks for operations that nobody runs. Who receives a call looks at once.",
    ),
    cfg.IntOpt(
        "max_attempts",
        default=5,
        min=1,
        mutable=True,
        help="""
Times that an operation is taken up after the process that ran it died. After that it is reverted, so that an operation
which kills its process does not do so for ever.
""",
    ),
    cfg.IntOpt(
        "drain",
        default=45,
        min=0,
        mutable=True,
        help="""
Seconds that a service which is told to stop gives its operations to end. What has not ended then is left to another
service (or to the next start), which goes on where this one stopped. Keep it below ``graceful_shutdown_timeout``.
""",
    ),
    cfg.FloatOpt(
        "progress_interval",
        default=1.0,
        min=0,
        help="Seconds between two records of a resource's progress in the database.",
    ),
    cfg.IntOpt(
        "bases",
        default=1,
        min=0,
        help="Earlier checkpoints of a project that a new one is stored against. 0 stores every checkpoint anew.",
    ),
    cfg.IntOpt(
        "sync_interval",
        default=900,
        min=0,
        help="Seconds between looks for checkpoints that other sites wrote to the banks. 0 never looks.",
    ),
    cfg.IntOpt(
        "collect_interval",
        default=86400,
        min=0,
        help="Seconds between garbage collections of each bank, over all services. 0 never collects.",
    ),
]
