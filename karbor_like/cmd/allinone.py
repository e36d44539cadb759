"""``karbor-like-allinone``: API, protection service and operation engine in one process on SQLite.

With ``--sandbox DIR``, it also runs a sandbox cloud and creates everything it needs in that directory, for demonstrations and
development.
"""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from oslo_config import cfg
from oslo_db import options as db_options

from karbor_like import service
from karbor_like.api.server import ApiService
from karbor_like.cmd import embedded
from karbor_like.db import migration
from karbor_like.db.session import Database
from karbor_like.operationengine.service import OperationEngine
from karbor_like.protection.service import ProtectionService
from karbor_like.protection.workflow import engine
from karbor_like.rpc import transport
from karbor_like.sandbox.cloud import Sandbox

_DATABASE = "sqlite:////var/lib/karbor_like/karbor_like.sqlite"

_SANDBOX = cfg.StrOpt(
    "sandbox",
    metavar="DIR",
    help="run on a sandbox cloud; its state, the database, the bank and the keys are stored in this directory",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT. SIGHUP reloads mutable options and providers."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return service.guarded(lambda: _main(arguments))


def _main(arguments: Sequence[str]) -> int:
    directory = service.configure(arguments, files=[], cli=[_SANDBOX]).sandbox
    with contextlib.ExitStack() as stack:
        if directory is None:
            return _run(service.prepare(arguments, cli=[_SANDBOX]))
        home = Path(directory).absolute()
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        cloud = stack.enter_context(Sandbox(home / "cloud"))
        path = embedded.write(home, cloud.credentials("karbor"))
        conf = service.prepare(["--config-file", str(path), *arguments], cli=[_SANDBOX])
        return _run(conf, cloud)


def _run(conf: cfg.ConfigOpts, cloud: Sandbox | None = None) -> int:
    db_options.set_defaults(conf, connection=_DATABASE)
    transport.stay_inside(conf)
    _migrate(conf)
    api = ApiService(conf)
    services: list[service.Service] = [ProtectionService(conf), OperationEngine(conf), api]
    if cloud is not None:
        services.append(_Announcement(api, cloud))
    return service.run_in_process(conf, services)


def _migrate(conf: cfg.ConfigOpts) -> None:
    """Migrate an embedded database. A database on a server may be shared, so its operator migrates it."""
    if not conf.database.connection.startswith("sqlite:"):
        return
    database = Database(conf)
    migration.sync(database)
    engine.persistence(conf, database).upgrade()
    database.dispose()


class _Announcement(service.Service):
    """Publishes the address of the API in the sandbox's catalogue and on standard output."""

    def __init__(self, api: ApiService, cloud: Sandbox) -> None:
        super().__init__()
        self._api = api
        self._cloud = cloud

    def start(self) -> None:
        host, port = self._api.address
        host = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 - compared, not listened on
        url = f"http://{host}:{port}/v1/%(project_id)s"
        self._cloud.settings(endpoints={"data-protect": url})
        print(embedded.environment(self._cloud.auth_url), flush=True)


if __name__ == "__main__":
    sys.exit(main())
