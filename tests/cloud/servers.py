"""Databases, message broker, cache and storage from the system's packages, with their own data, ports and accounts.

Each class prepares the data directory of its server (``prepare``), describes its process (``daemon``) and provides what a
client needs. All listen only on the loopback interface and trade durability for speed.
"""

import itertools
import json
import os
import shutil
import signal
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg2
import pymysql

from tests.cloud.errors import CannotRun
from tests.cloud.net import HOST, port_open
from tests.cloud.processes import Daemon, run


class SqlServer:
    """Common interface of MariaDB and PostgreSQL: tests create and drop databases."""

    port: int

    def execute(self, statement: str) -> None:
        """Execute one statement as the server's administrator, outside any transaction."""
        raise NotImplementedError

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database."""
        raise NotImplementedError

    def create(self, database: str) -> str:
        """Create an empty database and return its SQLAlchemy URL."""
        raise NotImplementedError

    def new_database(self) -> str:
        """Create an empty database with a unique name and return its SQLAlchemy URL."""
        return self.create(f"test_{uuid.uuid4().hex[:12]}")

    def drop(self, url: str) -> None:
        """Drop the database with that SQLAlchemy URL, and close the connections to it."""
        raise NotImplementedError


class MariaDB(SqlServer):
    """A MariaDB server.

    :param directory: its data
    :param port: TCP port
    """

    ACCOUNT = "tests"
    PASSWORD = "tests"
    packages = ("mariadb-server",)

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self._socket = directory / "mariadb.sock"

    def prepare(self) -> None:
        if (self.directory / "mysql").is_dir():
            return
        own(self.directory, "mysql")
        log = self.directory.parent / "mariadb-install.log"
        run(
            [
                program("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={self.directory}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            log=log,
            user="mysql",
        )

    def daemon(self) -> Daemon:
        argv = [
            program("mariadbd"),
            "--no-defaults",
            f"--datadir={self.directory}",
            f"--socket={self._socket}",
            f"--port={self.port}",
            f"--bind-address={HOST}",
            "--max-connections=500",
            "--innodb-flush-log-at-trx-commit=2",
            "--skip-log-bin",
        ]
        return Daemon("mariadb", argv, self._ready, user="mysql")

    def _ready(self) -> bool:
        try:
            self.execute("SELECT 1")
        except pymysql.OperationalError:
            return False
        return True

    def execute(self, statement: str) -> None:
        with pymysql.connect(unix_socket=str(self._socket), user="root") as connection:
            connection.cursor().execute(statement)
            connection.commit()

    def url(self, database: str) -> str:
        return f"mysql+pymysql://{self.ACCOUNT}:{self.PASSWORD}@{HOST}:{self.port}/{database}?charset=utf8mb4"

    def create(self, database: str) -> str:
        self.execute(f"CREATE DATABASE IF NOT EXISTS `{database}` CHARACTER SET utf8mb4")
        for host in (HOST, "localhost"):
            self.execute(f"GRANT ALL ON `{database}`.* TO '{self.ACCOUNT}'@'{host}' IDENTIFIED BY '{self.PASSWORD}'")
        return self.url(database)

    def drop(self, url: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS `{_database(url)}`")


class PostgreSQL(SqlServer):
    """A PostgreSQL server.

    :param directory: its data
    :param port: TCP port
    """

    packages = ("postgresql",)

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port

    def prepare(self) -> None:
        if (self.directory / "PG_VERSION").exists():
            return
        own(self.directory, "postgres")
        run(
            [_postgresql("initdb"), "-D", str(self.directory), "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"],
            log=self.directory.parent / "postgresql-initdb.log",
            user="postgres",
        )

    def daemon(self) -> Daemon:
        settings = {
            "listen_addresses": HOST,
            "unix_socket_directories": str(self.directory),
            "fsync": "off",
            "max_connections": "200",
        }
        argv = [_postgresql("postgres"), "-D", str(self.directory), "-p", str(self.port)]
        argv += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # On SIGTERM, the server waits until all clients have disconnected. On SIGINT, it disconnects them.
        return Daemon("postgresql", argv, self._ready, user="postgres", stop_signal=signal.SIGINT)

    def _ready(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True

    def execute(self, statement: str) -> None:
        connection = psycopg2.connect(host=HOST, port=self.port, user="postgres", dbname="postgres")
        try:
            connection.autocommit = True
            connection.cursor().execute(statement)
        finally:
            connection.close()

    def url(self, database: str) -> str:
        return f"postgresql+psycopg2://postgres@{HOST}:{self.port}/{database}"

    def create(self, database: str) -> str:
        self.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def drop(self, url: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{_database(url)}" WITH (FORCE)')


class RabbitMQ:
    """A broker with its own Erlang port mapper, so that it does not conflict with another one on the machine.

    :param directory: its data
    :param ports: for AMQP, management over HTTP, Erlang distribution and the port mapper
    """

    packages = ("rabbitmq-server",)

    def __init__(self, directory: Path, ports: Sequence[int]) -> None:
        self.directory = directory
        self.port, self.management_port, self._distribution_port, self._epmd_port = ports

    def prepare(self) -> None:
        own(self.directory, "rabbitmq")
        (self.directory / "plugins").write_text("[rabbitmq_management].\n")
        (self.directory / "rabbitmq.conf").write_text(
            f"management.tcp.ip = {HOST}\n"
            f"management.tcp.port = {self.management_port}\n"
            "disk_free_limit.absolute = 50MB\n"
        )

    def daemon(self) -> Daemon:
        env = {
            "HOME": str(self.directory),
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_NODENAME": f"tests-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        configs = [self.directory / "rabbitmq.conf", self.directory / "plugins"]
        return Daemon("rabbitmq", [_rabbitmq_server()], self._ready, env=env, user="rabbitmq", configs=configs)

    def _ready(self) -> bool:
        return port_open(self.port) and port_open(self.management_port)

    def transport_url(self, vhost: str = "/") -> str:
        """Return the oslo.messaging URL of a virtual host."""
        return f"rabbit://guest:guest@{HOST}:{self.port}/{'' if vhost == '/' else vhost}"

    def new_vhost(self) -> str:
        """Create an empty virtual host and return its oslo.messaging URL."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.manage("PUT", f"vhosts/{name}")
        self.manage("PUT", f"permissions/{name}/guest", {"configure": ".*", "write": ".*", "read": ".*"})
        return self.transport_url(name)

    def drop(self, transport_url: str) -> None:
        """Delete the virtual host with that URL and all its queues, and close the connections to it."""
        self.manage("DELETE", f"vhosts/{_database(transport_url)}")

    def manage(self, method: str, path: str, body: object = None) -> Any:
        """Call the management API.

        :param path: below ``/api/``
        :returns: the JSON of the response, or None if it is empty
        """
        request = urllib.request.Request(
            f"http://{HOST}:{self.management_port}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Content-Type": "application/json",
                "Authorization": "Basic " + b64encode(b"guest:guest").decode(),
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None


class Memcached:
    """A memcached server.

    :param port: TCP port
    """

    packages = ("memcached",)

    def __init__(self, port: int) -> None:
        self.port = port

    def daemon(self) -> Daemon:
        argv = [program("memcached"), "-l", HOST, "-p", str(self.port), "-m", "64"]
        return Daemon("memcached", argv, lambda: port_open(self.port), user="nobody")


class Qemu:
    """QEMU's programs for images, which need no server."""

    packages = ("qemu-utils", "qemu-block-extra")


class IscsiTarget:
    """An iSCSI target in user space: tgtd of the Linux SCSI target framework.

    :param directory: its control socket
    :param port: TCP port
    """

    packages = ("tgt",)
    #: The number after the name of the control socket.
    _CONTROL = "1"

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self._env = {"TGT_IPC_SOCKET": str(directory / "control")}
        self._ids = itertools.count(1)

    @property
    def portal(self) -> str:
        return f"{HOST}:{self.port}"

    def prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)

    def daemon(self) -> Daemon:
        argv = [program("tgtd"), "-f", "-C", self._CONTROL, "--iscsi", f"portal={self.portal}"]
        return Daemon("tgtd", argv, lambda: port_open(self.port), self._env)

    def create(self, image: Path, user: str, password: str) -> str:
        """Offer a file as unit 1 of a new target, to clients that authenticate by CHAP. Returns the target's name."""
        number = next(self._ids)
        target, tid = f"iqn.2026-01.org.example:{number}", ["--tid", str(number)]
        self._manage("target", "new", *tid, "--targetname", target)
        self._manage("logicalunit", "new", *tid, "--lun", "1", "--backing-store", str(image))
        self._manage("account", "new", "--user", user, "--password", password)
        self._manage("account", "bind", *tid, "--user", user)
        self._manage("target", "bind", *tid, "--initiator-address", "ALL")
        return target

    def drop(self, target: str) -> None:
        """Delete a target and disconnect its clients."""
        self._manage("target", "delete", "--force", "--tid", target.rpartition(":")[2])

    def _manage(self, mode: str, op: str, *args: str) -> None:
        argv = [program("tgtadm"), "-C", self._CONTROL, "--lld", "iscsi", "--mode", mode, "--op", op, *args]
        run(argv, log=self.directory / "tgtadm.log", env=self._env)


def own(directory: Path, account: str) -> None:
    """Create a directory, and change its owner to *account* if this process is root.

    Every account must be able to traverse its parents.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        shutil.chown(directory, account)


def program(name: str) -> str:
    """Find a program of the system, and return its path.

    :raises CannotRun: it is not installed
    """
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin")
    if path is None:
        raise CannotRun(f"{name}: not installed; run `python -m tests.cloud install servers` as root")
    return path


def _rabbitmq_server() -> str:
    # Debian's wrapper in /usr/sbin changes the account; the script that it calls does not.
    direct = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    return str(direct) if direct.exists() else program("rabbitmq-server")


def _postgresql(name: str) -> str:
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    return str(installed[-1]) if installed else program(name)


def _database(url: str) -> str:
    return url.rsplit("/", 1)[1].split("?")[0]
