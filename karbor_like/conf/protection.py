from typing import Final

from oslo_config import cfg

#: Deletions and cancelled operations that a service runs in addition to ``max_operations``.
SHORT_OPERATIONS: Final = 1

GROUP = cfg.OptGroup("protection", title="Protection service")

OPTS = [
    cfg.StrOpt(
        "provider_config_dir",
        default="providers.d",
        help="""
Directory of the provider files (``*.conf``, one per provider). A relative path is searched for next to the main
configuration file, then in the working directory, then in /etc/karbor_like.
""",
    ),
    cfg.IntOpt(
        "max_operations",
        default=8,
        min=1,
        help="""
Operations (protect, restore, delete, verify, copy) that one service runs concurrently, and in addition one deletion or
cancelled operation. Further operations wait in the queue, where projects take turns. Raise it if operations wait although the
clouds and banks are not busy.
""",
    ),
    cfg.IntOpt(
        "max_operations_per_project",
        default=0,
        min=0,
        mutable=True,
        help="""
Operations of one project that all services together run concurrently, without deletions. Those of other projects overtake
the further ones. 0 is unlimited. Set the same number for all services.
""",
    ),
    cfg.IntOpt(
        "max_streams",
        default=4,
        min=1,
        help="""
Resources whose data one service transfers concurrently, over all its operations. Each needs memory for the blocks in
flight (see ``[bank] memory_budget`` of the providers) and about one CPU core. Raise it on hosts with more cores.
""",
    ),
    cfg.IntOpt(
        "max_bytes_per_second",
        default=0,
        min=0,
        mutable=True,
        help="""
Bytes per second of data that one service exchanges with all banks together, and as many that it exchanges with the image
service. Both directions count together. A limit of one bank is ``[bank] max_bytes_per_second`` of the provider. 0 is
unlimited. After a reload, a limit where there was none applies to the transfers that begin later.
""",
    ),
    cfg.IntOpt(
        "max_operation_bytes_per_second",
        default=0,
        min=0,
        mutable=True,
        help="""
The same for each operation, so that none takes all of ``max_bytes_per_second``. 0 is unlimited.
""",
    ),
    cfg.IntOpt(
        "lease",
        default=60,
        min=3,
        help="""
Seconds after which another service takes over the operations of a service that died. If the database is unreachable for
longer, a healthy service stops its operations, too, and continues them when the database is back.
""",
    ),
    cfg.FloatOpt(
        "poll_interval",
        default=5.0,
        min=0.1,
        mutable=True,
        help="""
Seconds between polls of the database for queued or abandoned operations. The service that receives a call polls
immediately, so this is the delay of operations that it cannot run itself.
""",
    ),
    cfg.IntOpt(
        "max_attempts",
        default=5,
        min=1,
        mutable=True,
        help="""
Times that an operation is started by a process which then dies. After that it is rolled back, so that an operation that
crashes its process does not do so forever.
""",
    ),
    cfg.IntOpt(
        "drain",
        default=45,
        min=0,
        mutable=True,
        help="""
Grace period, in seconds, for running operations when the service stops. Operations that have not ended by then are
released, and another service (or this one after its restart) continues them. Keep it below ``graceful_shutdown_timeout``.
""",
    ),
    cfg.FloatOpt(
        "progress_interval",
        default=1.0,
        min=0,
        help="Minimum seconds between two updates of a resource's progress in the database.",
    ),
    cfg.IntOpt(
        "bases",
        default=1,
        min=0,
        help="""
Earlier checkpoints of the same resource against which a new checkpoint is deduplicated, newest first. 0 stores all data
again for each checkpoint.
""",
    ),
    cfg.IntOpt(
        "sync_interval",
        default=900,
        min=0,
        help="Seconds between searches of the banks for checkpoints that other sites have written. 0 disables them.",
    ),
    cfg.IntOpt(
        "collect_interval",
        default=86400,
        min=0,
        help="Seconds between garbage collections of each bank, over all services. 0 disables them.",
    ),
    cfg.IntOpt(
        "orphan_interval",
        default=3600,
        min=0,
        help="""
Seconds between attempts to delete temporary snapshots, volumes and images that could not be deleted when their operation
ended. Until they are deleted, the operation keeps its owner's encrypted credential. The pauses grow to a tenth of the time
since the end of the operation. 0 disables the attempts.
""",
    ),
    cfg.IntOpt(
        "orphan_days",
        default=30,
        min=1,
        help="""
Days after which the attempts to delete what an operation left in the cloud end with an error in the log, and the credential
is erased.
""",
    ),
    cfg.IntOpt(
        "reaper_interval",
        default=86400,
        min=0,
        help="""
Seconds between searches of the clouds' projects for objects that operations created and nothing owns any more, over all
services. They are only counted, in a warning in the log; ``karbor-like-manage cloud orphans`` lists and deletes them. The
account in ``[service_auth]`` needs a role in the projects. 0 disables the searches.
""",
    ),
    cfg.IntOpt(
        "keep_failed_days",
        default=7,
        min=0,
        help="""
Days after which a checkpoint that failed and never became available is deleted, with what it left in the bank. Until then its
owner can see why it failed. It does not count towards the quota. 0 keeps failed checkpoints.
""",
    ),
]
