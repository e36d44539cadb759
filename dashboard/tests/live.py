"""Real Horizon with this dashboard, on a sandbox cloud with the services: for a demonstration and for tests with a browser.

``python dashboard/tests/live.py DIRECTORY`` runs all of it until Ctrl-C, and prints where to log in.
"""

import contextlib
import os
import pathlib
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import openstack_dashboard
import requests

import karbor_like_dashboard
from karbor_like.cmd import embedded
from karbor_like.sandbox.cloud import Sandbox

#: The settings that a deployment would have in its local_settings.py.
_SETTINGS = """\
import os
import pathlib

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
SECRET_KEY = {secret!r}
LOCAL_PATH = {directory!r}
STATIC_ROOT = {directory!r} + "/static"
COMPRESS_OFFLINE = True
SESSION_ENGINE = "django.contrib.sessions.backends.file"
SESSION_FILE_PATH = {directory!r} + "/sessions"
CACHES = {{"default": {{"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}}}
OPENSTACK_KEYSTONE_URL = {auth_url!r}
TIME_ZONE = "UTC"

import openstack_dashboard.local.enabled

import karbor_like_dashboard

_DASHBOARD = pathlib.Path(karbor_like_dashboard.__file__).parent
openstack_dashboard.local.enabled.__path__.append(str(_DASHBOARD / "enabled"))

# One theme for each process: only the styles of the first one are compiled.
_THEME = os.environ.get("KARBOR_LIKE_THEME")
AVAILABLE_THEMES = [("default", "Default", "themes/default")] + [(name, name, path) for name, path in {themes!r}]
if _THEME:
    AVAILABLE_THEMES.sort(key=lambda theme: theme[0] != _THEME)
    DEFAULT_THEME = _THEME
    COMPRESS_OFFLINE_MANIFEST = _THEME + ".json"
"""

_WSGI = """\
from openstack_dashboard.wsgi import application as horizon
from whitenoise import WhiteNoise

application = WhiteNoise(horizon, root={static!r}, prefix="static/")
"""

#: In addition to the configuration of an embedded site. Schedules may run each minute, and progress is stored at once.
_CONFIGURATION = """\
[api]
port = {port}

[trigger]
min_interval = 60
min_window = 10
max_window = 30

[operationengine]
follow_interval = 1

[protection]
progress_interval = 0
"""

#: The plugin may be one of the tests of the service.
_ROOT = pathlib.Path(__file__).resolve().parents[2]

_NOTHING: Mapping[str, Any] = MappingProxyType({})

#: Seconds after which a start has failed.
_PATIENCE = 600


def free_port() -> int:
    """Return a port that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Services:
    """API, protection service and operation engine in one process on a sandbox cloud, which this process runs.

    :ivar cloud: the control of the sandbox
    :ivar directory: of all files
    :param volume_plugin: the plugin for volumes, instead of the usual one
    """

    def __init__(self, directory: pathlib.Path, cloud: Sandbox, volume_plugin: str) -> None:
        self.cloud, self.directory = cloud, directory
        port = free_port()
        more = directory / "live.conf"
        more.write_text(_CONFIGURATION.format(port=port))
        files = [f"--config-file={path}" for path in (embedded.write(directory, cloud.credentials("karbor")), more)]
        for path in (directory / "providers.d").iterdir():
            path.write_text(path.read_text().replace("volume-glance", volume_plugin))
        command = [sys.executable, "-W", "ignore", "-m", "karbor_like.cmd.allinone", *files]
        self._log = directory / "allinone.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=_ROOT)
        self._address = f"http://127.0.0.1:{port}"

    def publish(self) -> None:
        """Wait until the API answers, and add it to the catalogue of the cloud.

        :raises RuntimeError: the process has ended, or does not answer
        """
        _wait(self._address, self._process, self._log)
        self.cloud.settings(endpoints={"data-protect": f"{self._address}/v1/%(project_id)s"})

    def stop(self) -> None:
        """Stop the services. The cloud stays."""
        self._process.terminate()
        self._process.wait()


@contextlib.contextmanager
def services(directory: pathlib.Path, volume_plugin: str = "volume-glance") -> Iterator[Services]:
    """Run a sandbox cloud with all services. Parameters as of :class:`Services`."""
    with Sandbox(directory / "cloud") as cloud:
        running = Services(directory, cloud, volume_plugin)
        try:
            yield running
        finally:
            running.stop()


@contextlib.contextmanager
def horizon(directory: pathlib.Path, auth_url: str, themes: Mapping[str, pathlib.Path] = _NOTHING) -> Iterator[str]:
    """Run Horizon with this dashboard; yield its address.

    :param themes: directories of more themes by name; see :func:`themed`
    """
    local = directory / "conf" / "local"
    local.mkdir(parents=True, exist_ok=True)
    (directory / "sessions").mkdir(exist_ok=True)
    snippet = pathlib.Path(karbor_like_dashboard.__file__).parent / "local_settings.d" / "_80_karbor_like.py"
    values = {
        "secret": secrets.token_hex(32),
        "directory": str(directory),
        "auth_url": auth_url,
        "themes": [(name, str(path)) for name, path in themes.items()],
    }
    (local / "__init__.py").touch()
    (local / "local_settings.py").write_text(_SETTINGS.format(**values))
    # Horizon reads snippets only from its own package, which belongs to this virtual environment.
    snippets = pathlib.Path(openstack_dashboard.__file__).parent / "local" / "local_settings.d"
    (snippets / snippet.name).write_text(snippet.read_text())
    (local.parent / "served.py").write_text(_WSGI.format(static=str(directory / "static")))
    _run(directory, "django", "collectstatic", "--noinput")
    with _served(directory) as address:
        yield address


@contextlib.contextmanager
def themed(directory: pathlib.Path, theme: str) -> Iterator[str]:
    """Run one more process of the same Horizon, with another theme and the same sessions; yield its address."""
    with _served(directory, {"KARBOR_LIKE_THEME": theme}) as address:
        yield address


def _environment(directory: pathlib.Path, more: Mapping[str, str]) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(directory / "conf"),
        "DJANGO_SETTINGS_MODULE": "openstack_dashboard.settings",
        "PYTHONWARNINGS": "ignore",
        **more,
    }


def _run(directory: pathlib.Path, *arguments: str, more: Mapping[str, str] = _NOTHING) -> None:
    with (directory / "horizon.log").open("ab") as log:
        command = [sys.executable, "-m", *arguments]
        subprocess.run(command, env=_environment(directory, more), stdout=log, stderr=log, check=True)


@contextlib.contextmanager
def _served(directory: pathlib.Path, more: Mapping[str, str] = _NOTHING) -> Iterator[str]:
    """Compile the styles, run Horizon and yield its address.

    :param more: variables of its environment
    """
    _run(directory, "django", "compress", "--force", more=more)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--no-control-socket", "-w", "1", "--threads", "8", "-t", "300"]
    command += ["--graceful-timeout", "1", "-b", f"127.0.0.1:{port}", "served:application"]
    with (directory / "horizon.log").open("ab") as log:
        process = subprocess.Popen(command, env=_environment(directory, more), stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(f"{address}/auth/login/", process, directory / "horizon.log")
        yield address
    finally:
        process.terminate()
        process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    """Wait until a server answers, also with an error of the client."""
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(url, timeout=_PATIENCE).status_code < 500:
                return
        time.sleep(0.2)
    raise RuntimeError(f"{url} does not answer:\n{log.read_text()[-4000:]}")


def main(argv: list[str]) -> None:
    """Run everything until Ctrl-C."""
    directory = pathlib.Path(argv[0]).resolve()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        services(directory) as running,
        horizon(directory, running.cloud.auth_url) as address,
        contextlib.suppress(KeyboardInterrupt),
    ):
        running.publish()
        account = running.cloud.credentials("alice")
        print(f"\nHorizon runs until Ctrl-C: {address}")
        print(f"User {account['username']}, password {account['password']}", flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main(sys.argv[1:])
