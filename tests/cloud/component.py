"""Common base of the OpenStack services: preparation, configuration and start."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.cloud import packages
from tests.cloud.ceph import Ceph
from tests.cloud.layout import PASSWORD, REGION, Layout
from tests.cloud.net import HOST, answers
from tests.cloud.processes import Daemon, run
from tests.cloud.servers import MariaDB, RabbitMQ

DRIVERS = Path(__file__).with_name("drivers")
"""Directory of our own drivers, which the services load."""


@dataclass(frozen=True)
class Site:
    """What a service needs to know about the others."""

    layout: Layout
    mariadb: MariaDB
    rabbitmq: RabbitMQ
    ceph: Ceph | None
    """None: this site has no Ceph."""
    release: str
    """Identifies the installed release: when it changes, the database migrations run again."""

    @property
    def installed(self) -> Path:
        """A file that changes with the installed release."""
        return self.layout.venv / packages.STAMP

    def program(self, name: str) -> str:
        """Return the path of a program in the virtual environment of the release."""
        return str(self.layout.venv / "bin" / name)

    def database(self, name: str) -> Mapping[str, object]:
        """Return the ``[database]`` section of a service."""
        return {"connection": self.mariadb.url(name)}

    def queues(self) -> Mapping[str, object]:
        """Return the ``[oslo_messaging_rabbit]`` section of a service."""
        return {"rabbit_quorum_queue": True}

    def sync(self, component: str, *commands: Sequence[str], once: str | None = None) -> None:
        """Create the database *component* and run *commands* (its migrations), once per release.

        :param once: the commands run again when this text changes, instead of the release
        """

        def action() -> None:
            self.mariadb.create(component)
            for command in commands:
                run(command, log=self.layout.log(f"{component}-sync"))

        self.layout.once(f"{component}-sync", self.release if once is None else once, action)

    def credentials(self, user: str) -> Mapping[str, object]:
        """Return the options of keystoneauth for a service user."""
        return {
            "auth_type": "password",
            "auth_url": self.layout.auth_url,
            "username": user,
            "password": PASSWORD,
            "user_domain_name": "Default",
            "project_name": "service",
            "project_domain_name": "Default",
            "region_name": REGION,
        }

    def authtoken(self, user: str) -> Mapping[str, object]:
        """Return the options of keystonemiddleware. Only service tokens of users with the role ``service`` are accepted."""
        return {
            **self.credentials(user),
            "www_authenticate_uri": self.layout.auth_url,
            "memcached_servers": f"{HOST}:{self.layout.port('memcached')}",
            "service_token_roles": "service",
            "service_token_roles_required": True,
        }

    def worker(self, name: str, config: Path, *, script: Path | None = None) -> Daemon:
        """Describe a process without a port. It counts as ready at once: ask the API for its state later.

        :param script: in :data:`DRIVERS`; runs instead of the program of that name
        """
        program = [self.program("python"), str(script)] if script else [self.program(name)]
        drivers = sorted(DRIVERS.glob("*.py")) if script else []
        return Daemon(
            name, [*program, "--config-file", str(config)], lambda: True, configs=[config, self.installed, *drivers]
        )

    def wsgi(
        self,
        name: str,
        application: str,
        config: Path,
        *,
        path: str,
        workers: int = 2,
        env: Mapping[str, str] | None = None,
    ) -> Daemon:
        """Describe a WSGI application that runs under gunicorn.

        The services parse ``sys.argv`` to find their configuration file. Gunicorn therefore reads its own options from a
        file that the environment names, and each worker sets the arguments that the service expects.

        :param path: path of the URL that responds when the application is ready
        :param env: additional environment variables
        """
        port = self.layout.port(name.removesuffix("-api"))
        gunicorn = self.layout.etc("gunicorn") / f"{name}.py"
        gunicorn.write_text(
            f"wsgi_app = {application!r}\n"
            f"bind = '{HOST}:{port}'\n"
            f"workers = {workers}\n"
            "worker_class = 'gthread'\nthreads = 4\ntimeout = 600\nkeepalive = 30\ngraceful_timeout = 3\n"
            "control_socket_disable = True\n\n\n"
            "def post_fork(server, worker):\n"
            f"    import sys\n\n    sys.argv = [{name!r}, '--config-file', {str(config)!r}]\n"
        )
        return Daemon(
            name,
            [self.program("gunicorn")],
            lambda: answers(f"http://{HOST}:{port}{path}"),
            env={"GUNICORN_CMD_ARGS": f"-c {gunicorn}", **(env or {})},
            configs=(config, gunicorn, self.installed),
        )


class Component(Protocol):
    """One OpenStack service."""

    def prepare(self) -> None:
        """Write the configuration and migrate the data. The SQL server is already running."""
        ...

    def daemons(self) -> Sequence[Daemon]:
        """Describe the processes. Call after :meth:`prepare`."""
        ...
