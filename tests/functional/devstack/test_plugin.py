"""The DevStack plugin: all phases in bash, with stand-ins for DevStack's functions, and the files that they leave.

``stand_ins.sh`` refuses unknown functions, wrong numbers of arguments, and arguments that DevStack would split.
"""

import getpass
import itertools
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from keystoneauth1 import loading
from oslo_config import generator

from karbor_like import configfile, secret, service
from karbor_like.clock import SystemClock
from karbor_like.cmd import manage
from karbor_like.conf import clients
from karbor_like.protection.registry import providers

ROOT = Path(__file__).parents[3]
PLUGIN = ROOT / "devstack"
STACK = ("stack pre-install", "stack install", "stack post-config", "stack extra", "stack test-config")
SERVICES = {"karbor-like-api", "karbor-like-protection", "karbor-like-operationengine"}
USUAL = "key,rabbit,mysql,g-api,c-api,c-sch,c-vol,n-api,n-cpu,q-svc,s-proxy,s-object,s-container,s-account"

#: Programs of the services: they record how they are called. Keys come from files, so that they are those of the test.
_PROGRAM = r"""#!/bin/bash
IFS=$'\t'
echo "${0##*/}	$*" >> "$RECORD/calls"
if [[ $* == *new-* ]]; then
    cat "$RECORD/$2"
fi
"""


@dataclass
class Site:
    """A host without karbor_like, with the services that DevStack would run.

    :param variables: those of ``local.conf``
    """

    path: Path
    enabled: str = USUAL
    variables: Mapping[str, str] = field(default_factory=dict)
    disabled: str = ""

    def __post_init__(self) -> None:
        self.host = self.path / "host"
        self.record = self.path / "record"
        self.conf_dir = self.host / "etc" / "karbor_like"
        self.conf = self.conf_dir / "karbor_like.conf"
        programs = self.path / "bin"
        local = self.host / "horizon" / "openstack_dashboard" / "local"
        #: Directories in the source tree of Horizon.
        self.horizon = (local / "enabled", local / "local_settings.d")
        for directory in (programs, self.record, self.host / "etc", *self.horizon):
            directory.mkdir(parents=True)
        for name in ("karbor-like-manage", "karbor-like-status", "uwsgi"):
            (programs / name).write_text(_PROGRAM)
            (programs / name).chmod(0o755)
        self.new_keys()
        self._environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHON_PREFIX": str(programs),
            "RECORD": str(self.record),
            "HOST_DIR": str(self.host),
            "STACK_USER": getpass.getuser(),
            "ENABLED_SERVICES": self.enabled,
            "DISABLED_SERVICES": self.disabled,
            "DATABASE_TYPE": "postgresql" if "postgresql" in self.enabled else "mysql",
            "DATA_DIR": str(self.host / "data"),
            "HORIZON_DIR": str(self.host / "horizon"),
            "SSL_BUNDLE_FILE": str(self.host / "ca-bundle.pem"),
            "ENABLE_DEBUG_LOG_LEVEL": "True",
            "KARBOR_LIKE_CONF_DIR": str(self.conf_dir),
            "KEYSTONE_SERVICE_URI": "http://127.0.0.1:1/identity",
            "KEYSTONE_SERVICE_URI_V3": "http://127.0.0.1:1/identity/v3",
            "RABBIT_USERID": "stackrabbit",
            "RABBIT_PASSWORD": "secret",
            "RABBIT_HOST": "127.0.0.1",
            "REGION_NAME": "RegionOne",
            "SERVICE_DOMAIN_NAME": "Default",
            "SERVICE_HOST": "192.0.2.1",
            "SERVICE_PASSWORD": "secret",
            "SERVICE_PROTOCOL": "http",
            "SERVICE_TIMEOUT": "60",
            **self.variables,
        }

    def new_keys(self) -> None:
        """Let the next commands that make keys print other ones."""
        (self.record / "new-key").write_text(secret.new_key() + "\n")
        (self.record / "new-master-key").write_text(
            f"devstack:{secret.new_key()}\n".replace("-", "A").replace("_", "B")
        )

    def run(self, *phases: str, code: int = 0) -> list[list[str]]:
        """Run phases in one process, as one of DevStack's scripts does.

        :returns: the calls of functions and programs: the name and the arguments of each
        """
        calls = self.record / "calls"
        calls.write_text("")
        command = ["bash", str(Path(__file__).with_name("stand_ins.sh")), str(PLUGIN), *phases]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True)
        mistakes = self.record / "mistakes"
        assert (done.returncode, mistakes.exists()) == (code, False), done.stderr + (
            mistakes.read_text() if mistakes.exists() else ""
        )
        return [line.split("\t") for line in calls.read_text().splitlines()]

    def files(self) -> dict[str, str | bytes]:
        """Return all files of the host with their contents, and links with their targets."""
        return {
            str(path.relative_to(self.host)): os.readlink(path) if path.is_symlink() else path.read_bytes()
            for path in self.host.rglob("*")
            if not path.is_dir()
        }

    @property
    def running(self) -> set[str]:
        return {path.name for path in (self.host / "running").iterdir()}

    def options(self, path: Path | None = None) -> dict[tuple[str, str], list[str]]:
        """Return the values of all options of a file, by section and name."""
        found: dict[tuple[str, str], list[str]] = {}
        for entry in configfile.ConfigFile(path or self.conf).entries:
            found.setdefault((entry.section, entry.name), []).append(entry.value)
        return found

    @property
    def provider(self) -> Path:
        (path,) = (self.conf_dir / "providers.d").iterdir()
        return path


def calls_of(calls: Sequence[Sequence[str]], name: str) -> list[list[str]]:
    return [list(arguments) for called, *arguments in calls if called == name]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """All options of the configuration, by section and name."""
    output = tmp_path_factory.mktemp("sample") / "sample"
    source = ROOT / "etc" / "karbor_like" / "karbor-like-config-generator.conf"
    generator.main(["--config-file", str(source), "--output-file", str(output)])
    names = set()
    for line in output.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif match := re.match(r"#?(\w+) =", line):
            names.add((section, match[1]))
    password = loading.get_auth_plugin_conf_options("password")
    return names | {(group, option.dest) for group in ("keystone_authtoken", "service_auth") for option in password}


SITES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "usual": (USUAL, {}),
    "small": ("key,rabbit,postgresql,c-api,c-bak", {"KARBOR_LIKE_PROTECTIONS": "volume-snapshot noop"}),
    "many": (
        f"{USUAL},horizon,manila,m-api,trove,tr-api,tls-proxy".replace("mysql", "postgresql"),
        {
            "KARBOR_LIKE_API_THREADS": "4",
            "KARBOR_LIKE_BANK_PASSWORD": "with-$-dollar",
            "SERVICE_PASSWORD": "with-$user-and-$$",
        },
    ),
}


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    return make(request.param, tmp_path)


def make(name: str, path: Path) -> Site:
    enabled, variables = SITES[name]
    found = Site(path, enabled, variables)
    if "tls-proxy" in enabled:
        (found.host / "ca-bundle.pem").write_text("")
    return found


def test_all_phases_again_and_again(site: Site, known: set[tuple[str, str]]):
    before = site.files()
    calls = site.run(*STACK)
    files = site.files()
    assert site.running == SERVICES
    check_calls(site, calls)
    check_configuration(site, known)
    check_provider(site)

    site.new_keys()
    site.run(*STACK)
    assert site.files() == files, "stack.sh twice"

    site.run("unstack")
    assert site.running == set()
    site.run(*STACK)
    assert site.files() == files, "stack.sh after unstack.sh"

    site.run("unstack")
    site.run("clean")
    units = {name for name in site.files() if name.startswith("etc/systemd/")}  # DevStack removes them
    assert set(site.files()) - units == set(before)
    assert site.conf_dir.exists() is False
    assert (site.host / "data" / "karbor_like").exists() is False


def check_calls(site: Site, calls: Sequence[Sequence[str]]) -> None:
    """Check what the phases of stack.sh have called."""
    protocol = "https" if "tls-proxy" in site.enabled else "http"
    url = f"{protocol}://192.0.2.1/data-protect"
    endpoint = f"{url}/v1/$(project_id)s"
    database = "postgresql" if "postgresql" in site.enabled else "mysql"
    dashboard = [[f"{ROOT}/dashboard"]] if "horizon" in site.enabled else []
    assert calls_of(calls, "setup_develop") == [[str(ROOT), f"memcache,{database}"], [f"{ROOT}/client"], *dashboard]
    assert calls_of(calls, "create_service_user") == [["karbor-like", "admin"]]
    assert calls_of(calls, "get_or_create_service") == [["karbor-like", "data-protect", "Data protection"]]
    assert calls_of(calls, "get_or_create_endpoint") == [["data-protect", "RegionOne", endpoint, "", endpoint]]
    assert calls_of(calls, "recreate_database") == [["karbor_like"]]
    assert calls_of(calls, "wait_for_service") == [["60", f"{url}/healthcheck"]]
    assert [service for service, *_ in calls_of(calls, "run_process")] == [
        "karbor-like-protection",
        "karbor-like-operationengine",
        "karbor-like-api",
    ]
    for _, command in calls_of(calls, "run_process"):
        path = shlex.split(command)[-1]
        assert Path(path).is_file(), command
    names = [name for name, *_ in calls]
    order = ["recreate_database", "karbor-like-manage", "run_process", "wait_for_service", "karbor-like-status"]
    assert [name for name, _ in itertools.groupby(name for name in names if name in order)][-5:] == order
    password = site.variables.get("KARBOR_LIKE_BANK_PASSWORD", "secret")
    users = calls_of(calls, "get_or_create_user")
    assert users == ([["karbor-bank", password, "Default"]] if "s-proxy" in site.enabled else [])


def check_configuration(site: Site, known: set[tuple[str, str]]) -> None:
    """Check that the services accept the configuration."""
    assert site.conf.stat().st_mode & 0o777 == 0o600
    options = site.options()
    assert set(options) - known == set(), "unknown options"
    conf = service.configure([], files=[str(site.conf)])
    for group, name in options:
        if group in conf and name in conf[group]:
            assert conf[group][name] is not None
    assert conf.secret["keys"] == [(site.record / "new-key").read_text().strip()]
    (url,) = options["database", "connection"]
    assert url in (
        "postgresql+psycopg2://root:secret@127.0.0.1/karbor_like?client_encoding=utf8",
        "mysql+pymysql://root:secret@127.0.0.1/karbor_like?charset=utf8mb4&plugin=dbcounter",
    )
    assert ("postgresql" in url) == ("postgresql" in site.enabled)
    assert conf.service_auth.auth_type == "password"
    password = loading.get_auth_plugin_conf_options("password")
    for group in ("keystone_authtoken", "service_auth"):
        conf.register_opts(password, group)
        assert conf[group].password == site.variables.get("SERVICE_PASSWORD", "secret")
    ca_file = str(site.host / "ca-bundle.pem") if "tls-proxy" in site.enabled else None
    for name in clients.SERVICES:
        section = conf[f"{name}_client"]
        assert (section.region_name, section.cafile) == ("RegionOne", ca_file), name
    threads = site.variables.get("KARBOR_LIKE_API_THREADS", "16")
    assert conf.api.threads == int(threads)
    uwsgi = site.options(site.conf_dir / "uwsgi.ini")
    assert uwsgi["uwsgi", "threads"] == [threads]
    assert uwsgi["uwsgi", "env"] == [f"KARBOR_LIKE_CONFIG_FILES={site.conf}"]
    apache = (site.host / "etc" / "apache2" / "sites-available" / "karbor-like-api.conf").read_text()
    assert apache.count("ProxyPass") == 1


PLUGINS = {
    "usual": {"project", "volume-glance", "image", "network", "keypair", "server"},
    "small": {"volume-snapshot", "noop"},
    "many": {"project", "volume-glance", "image", "share-snapshot", "network", "keypair", "server", "database"},
}


def check_provider(site: Site) -> None:
    """Check that the protection service accepts the provider's file."""
    assert site.provider.stat().st_mode & 0o777 == 0o600
    found, mistakes = providers.check([site.provider], SystemClock())
    assert mistakes == []
    (provider,) = found
    provider.close()
    options = site.options(site.provider)
    (name,) = (name for name, (enabled, _) in SITES.items() if enabled == site.enabled)
    assert set(options["provider", "plugin"]) == PLUGINS[name]
    bank = "swift" if "s-proxy" in site.enabled else "filesystem"
    assert options["provider", "bank"] == [bank]
    if bank == "swift":
        password = site.variables.get("KARBOR_LIKE_BANK_PASSWORD", "secret")
        assert options["swift_client", "swift_key"] == [password.replace("$", "$$")]
    else:
        assert Path(options["file_system_bank_plugin", "file_system_bank_path"][0]).is_dir()


def test_the_commands_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    site = make("small", tmp_path)
    calls = site.run(*STACK)
    commands = calls_of(calls, "karbor-like-manage")
    assert [command[-2:] for command in commands] == [
        ["secret", "new-key"],
        ["new-master-key", "devstack"],
        ["db", "sync"],
    ]
    text = site.conf.read_text()
    site.conf.write_text(re.sub(r"(?m)^connection = .*", f"connection = sqlite:///{tmp_path}/db.sqlite", text))
    for command in commands:
        assert manage.main(command) == 0, command
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].startswith("devstack:")
    assert calls_of(calls, "karbor-like-status") == [["--config-file", str(site.conf), "upgrade", "check"]]


def test_a_host_without_the_api_creates_neither_accounts_nor_the_database(tmp_path: Path):
    site = Site(tmp_path, USUAL, {"KARBOR_LIKE_SECRET_KEY": secret.new_key()}, disabled="karbor-like-api")
    calls = site.run(*STACK)
    names = {name for name, *_ in calls}
    assert site.running == SERVICES - {"karbor-like-api"}
    assert names & {"create_service_user", "get_or_create_user", "recreate_database", "write_uwsgi_config"} == set()
    assert site.options()["secret", "keys"] == [site.variables["KARBOR_LIKE_SECRET_KEY"]]
    site.run("unstack")
    site.run("clean")


def test_nothing_happens_if_the_services_are_disabled(tmp_path: Path):
    site = Site(tmp_path, disabled=",".join(sorted(SERVICES)))
    calls = site.run(*STACK, "unstack", "clean")
    assert {name for name, *_ in calls} <= {
        "define_plugin",
        "enable_service",
        "is_service_enabled",
        "get_python_exec_prefix",
    }
    assert [name for name in site.files() if "karbor" in name] == []


def test_another_bank_is_refused(tmp_path: Path):
    site = Site(tmp_path, variables={"KARBOR_LIKE_BANK": "tape"})
    (refusal,) = calls_of(site.run("stack post-config", code=1), "die")
    assert refusal[1] == "KARBOR_LIKE_BANK=tape is not swift or filesystem"


def test_the_panels_of_horizon_are_installed_and_removed(tmp_path: Path):
    site = Site(tmp_path, f"{USUAL},horizon")
    site.run(*STACK)
    for directory in site.horizon:
        own = ROOT / "dashboard" / "karbor_like_dashboard" / directory.name
        assert {path.resolve() for path in directory.iterdir()} == set(own.glob("_[0-9]*.py"))
    site.run(*STACK)
    site.run("unstack")
    site.run("clean")
    assert [list(directory.iterdir()) for directory in site.horizon] == [[], []]


def _variables(path: Path) -> Iterator[str]:
    yield from re.findall(r"(?m)^ *(KARBOR_LIKE_\w+)=", path.read_text())


def test_every_variable_has_a_default_and_is_described():
    settings = (PLUGIN / "settings").read_text()
    defined = set(_variables(PLUGIN / "settings"))
    described = set(re.findall(r"\* - ``(KARBOR_LIKE_\w+)``", (PLUGIN / "README.rst").read_text()))
    assert defined == described
    for name in defined:
        assert f"{name}=${{{name}:-" in settings, "local.conf takes precedence"
    for path in PLUGIN.iterdir():
        if path.is_file():
            used = set(re.findall(r"(?<!\w)KARBOR_LIKE_[A-Z_]*[A-Z]", path.read_text()))
            assert used - defined <= {"KARBOR_LIKE_CONFIG_FILES"}, path


def test_every_option_of_the_sample_is_used(tmp_path: Path, known: set[tuple[str, str]]):
    """``local.conf`` consists of shell code and of sections for files."""
    text = (PLUGIN / "local.conf.sample").read_text()
    _, local, merged = re.split(r"(?m)^\[\[.*\]\]$", text)
    script = f'function enable_plugin {{ echo "$1"; }}\nfunction enable_service {{ :; }}\nset -eu\n{local}'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["karbor_like"]
    assert [path.name for path in (PLUGIN / "files").glob("*/*")] == ["karbor_like"] * 2, "DevStack looks for this name"
    (tmp_path / "merged.conf").write_text(merged)
    options = {(entry.section, entry.name) for entry in configfile.ConfigFile(tmp_path / "merged.conf").entries}
    assert options
    assert options <= known
