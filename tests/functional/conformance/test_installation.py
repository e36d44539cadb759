"""The page on installation works as written: its commands and files, in its order, on the servers of a real cloud.

It runs in namespaces of its own: what it writes below ``/etc``, ``/opt`` and so on is not visible elsewhere, and
its processes end with it.
"""

import contextlib
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from keystoneauth1.adapter import Adapter

from karbor_like import secret
from tests.cloud.layout import Layout
from tests.cloud.net import HOST, free_port
from tests.fixtures import guide, systemctl
from tests.functional.conformance.clients import Clients
from tests.functional.conformance.target import environment

_ROOT = Path(__file__).parents[3]
_SECONDS = 900
pytestmark = [pytest.mark.cloud, pytest.mark.turn(2), pytest.mark.timeout(_SECONDS + 100)]

_TYPE = "data-protect"
#: What the page creates in Keystone.
_CREATED = (
    ("user", {"name": "karbor-like"}),
    ("user", {"name": "karbor-bank"}),
    ("project", {"name": "karbor-bank"}),
    ("service", {"type": _TYPE}),
)

#: Prepares the namespaces. Overlays in memory keep the changes below directories. /etc is copied instead, because files in it
#: may be mount points. Other accounts can then use the Python of the tests, which may be in a home directory.
_PROLOGUE = """
set -e
PATH=$PROGRAMS:$PATH
memory=$(mktemp -d)
mount -t tmpfs tmpfs "$memory"
cp -a /etc "$memory/etc"
mount --bind "$memory/etc" /etc
for directory in /opt /usr/src /var/lib /var/log $CLOSED; do
    mkdir -p "$memory/$directory/upper" "$memory/$directory/work"
    layers="lowerdir=$directory,upperdir=$memory/$directory/upper,workdir=$memory/$directory/work"
    mount -t overlay -o "$layers" overlay "$directory"
done
test -z "$CLOSED" || chmod o+x $CLOSED
chmod 755 "$memory"
git clone --quiet --depth 1 "file://$ROOT" /usr/src/karbor_like
show_logs() { tail -n 40 /var/log/karbor-like*.out /var/log/karbor_like/*.log; }
trap 'test $? = 0 || show_logs' EXIT
"""

#: Checks after the page: who runs the services, who can read files with secrets, and who writes the logs.
_EPILOGUE = """
pgrep --euid karbor --list-full --full /opt/karbor_like/bin
test "$(stat -c '%U:%G %a' /etc/karbor_like/*.conf /etc/karbor_like/providers.d/*.conf | sort -u)" = "root:karbor 640"
test -z "$(find /var/log/karbor_like ! -user karbor)"
"""


@pytest.fixture
def site(cloud) -> Iterator[None]:
    """The cloud without what the page creates. Afterwards the catalogue has the earlier endpoint of data-protect again."""
    identity = Adapter(cloud.session("admin"), service_type="identity")
    (service,) = identity.get("/services", params={"type": _TYPE}).json()["services"]
    endpoints = identity.get("/endpoints", params={"service_id": service["id"]}).json()["endpoints"]
    # A killed run may have left everything.
    _remove(cloud, identity)
    yield
    _remove(cloud, identity)
    cloud.publish(_TYPE, endpoints[0]["url"])


def _remove(cloud, identity: Adapter) -> None:
    """Remove what the page creates."""
    for kind, properties in _CREATED:
        for found in identity.get(f"/{kind}s", params=properties).json()[f"{kind}s"]:
            identity.delete(f"/{kind}s/{found['id']}")
    cloud.mariadb.execute("DROP DATABASE IF EXISTS karbor_like")
    cloud.mariadb.execute("DROP USER IF EXISTS 'karbor_like'@'%'")
    for path in ("vhosts/karbor_like", "users/karbor_like"):
        with contextlib.suppress(OSError):
            cloud.rabbitmq.manage("DELETE", path)


def _values(cloud) -> Mapping[str, str]:
    """Return what replaces the placeholders and addresses of the page."""
    port = free_port()
    uv = Layout.from_environment().venv / "bin" / "uv"
    return {
        # uv does the same, much faster.
        "/opt/karbor_like/bin/pip install": f"{uv} pip install --quiet --python /opt/karbor_like/bin/python",
        "python3 -m venv": f"{uv} venv --quiet --python {sys.executable}",
        "http://controller:5000/v3": cloud.auth_url,
        "controller:3306": f"{HOST}:{cloud.mariadb.port}",
        "controller:5672": f"{HOST}:{cloud.rabbitmq.port}",
        "controller:11211": cloud.memcached,
        "controller:8799": f"{HOST}:{port}",
        "port = 8799": f"port = {port}",
        "DB_PASSWORD": "database-password",
        "RABBIT_PASSWORD": "rabbit-password",
        "KARBOR_PASSWORD": "karbor-password",
        "BANK_PASSWORD": "bank-password",
        "SECRET_KEY": secret.new_key(),
    }


def _programs(directory: Path, cloud) -> None:
    """Create programs that replace those of the system: the servers of the tests have their own sockets and ports."""
    rabbitmq = " ".join(f"{name}={shlex.quote(text)}" for name, text in cloud.rabbitmq.daemon().env.items())
    for name, command in {
        "mariadb": f"/usr/bin/mariadb --socket={cloud.mariadb.directory}/mariadb.sock --user=root",
        "rabbitmqctl": f"env {rabbitmq} /usr/lib/rabbitmq/bin/rabbitmqctl",
        "systemctl": f"{sys.executable} {systemctl.__file__}",
    }.items():
        program = directory / name
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        program.chmod(0o755)


def _closed() -> list[str]:
    """Return the parents of this Python that other accounts cannot enter."""
    parents = reversed(Path(sys.base_prefix).resolve().parents)
    return [str(parent) for parent in parents if not parent.stat().st_mode & 0o001]


def test_the_installation_page(clients: Clients, cloud, site, tmp_path: Path) -> None:
    page = guide.script("admin/installation.rst")
    for placeholder, value in _values(cloud).items():
        assert placeholder in page
        page = page.replace(placeholder, value)
    assert "controller" not in page
    _programs(tmp_path, cloud)
    given = {
        "ROOT": str(_ROOT),
        "CLOSED": " ".join(_closed()),
        "UV_CONSTRAINT": str(_ROOT / "constraints.txt"),
        "PROGRAMS": str(tmp_path),
    }

    done = clients.run(
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c"),
        _PROLOGUE + page + _EPILOGUE,
        env={**environment(cloud, "admin"), **given},
        seconds=_SECONDS,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "no mistakes found" in done.stdout, "provider check"
    assert "Result: Success" in done.stdout, "upgrade check"
    assert "swift" in done.stdout.rsplit("Id", 1)[1], "provider list"
    for name in ("api", "protection", "operationengine"):
        assert f"/opt/karbor_like/bin/karbor-like-{name}" in done.stdout
