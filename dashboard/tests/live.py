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
from collections.abc import Iterator

import openstack_dashboard
import requests

import karbor_like_dashboard

#: The settings that a deployment would have in its local_settings.py.
_SETTINGS = """\
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
"""

_WSGI = """\
from openstack_dashboard.wsgi import application as horizon
from whitenoise import WhiteNoise

application = WhiteNoise(horizon, root={static!r}, prefix="static/")
"""

#: Seconds after which a start has failed.
_PATIENCE = 600


def free_port() -> int:
    """Return a port that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def services(directory: pathlib.Path) -> Iterator[dict[str, str]]:
    """Run a sandbox cloud with all services; yield the environment of a tenant."""
    command = [sys.executable, "-W", "ignore", "-m", "karbor_like.cmd.allinone", "--sandbox", str(directory)]
    with (directory / "allinone.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert process.stdout is not None
        environment: dict[str, str] = {}
        for line in process.stdout:
            environment.update(word.split("=", 1) for word in line.split() if "=" in word)
            if "OS_USER_DOMAIN_ID" in environment:
                break
        else:
            raise RuntimeError((directory / "allinone.log").read_text()[-4000:])
        yield environment
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def horizon(directory: pathlib.Path, auth_url: str) -> Iterator[str]:
    """Run Horizon with this dashboard; yield its address."""
    local = directory / "conf" / "local"
    local.mkdir(parents=True, exist_ok=True)
    (directory / "sessions").mkdir(exist_ok=True)
    snippet = pathlib.Path(karbor_like_dashboard.__file__).parent / "local_settings.d" / "_80_karbor_like.py"
    values = {"secret": secrets.token_hex(32), "directory": str(directory), "auth_url": auth_url}
    (local / "__init__.py").touch()
    (local / "local_settings.py").write_text(_SETTINGS.format(**values))
    # Horizon reads snippets only from its own package, which belongs to this virtual environment.
    snippets = pathlib.Path(openstack_dashboard.__file__).parent / "local" / "local_settings.d"
    (snippets / snippet.name).write_text(snippet.read_text())
    (local.parent / "served.py").write_text(_WSGI.format(static=str(directory / "static")))
    environment = {
        **os.environ,
        "PYTHONPATH": str(local.parent),
        "DJANGO_SETTINGS_MODULE": "openstack_dashboard.settings",
        "PYTHONWARNINGS": "ignore",
    }
    with (directory / "horizon.log").open("wb") as log:

        def run(*arguments: str) -> None:
            command = [sys.executable, "-m", *arguments]
            subprocess.run(command, env=environment, stdout=log, stderr=log, check=True)

        run("django", "collectstatic", "--noinput")
        run("django", "compress", "--force")
        port = free_port()
        command = [sys.executable, "-m", "gunicorn", "--no-control-socket", "-w", "1", "--threads", "4", "-t", "300"]
        process = subprocess.Popen(
            [*command, "-b", f"127.0.0.1:{port}", "served:application"], env=environment, stdout=log, stderr=log
        )
        address = f"http://127.0.0.1:{port}"
        try:
            _wait(address, process)
            yield address
        finally:
            process.terminate()
            process.wait()


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(requests.ConnectionError):
            if requests.get(f"{address}/auth/login/", timeout=_PATIENCE).ok:
                return
        time.sleep(0.2)
    raise RuntimeError("Horizon does not start")


def main(argv: list[str]) -> None:
    """Run everything until Ctrl-C."""
    directory = pathlib.Path(argv[0]).resolve()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        services(directory) as environment,
        horizon(directory, environment["OS_AUTH_URL"]) as address,
        contextlib.suppress(KeyboardInterrupt),
    ):
        user, password = environment["OS_USERNAME"], environment["OS_PASSWORD"]
        print(f"\nHorizon runs until Ctrl-C: {address}\nUser {user}, password {password}", flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main(sys.argv[1:])
