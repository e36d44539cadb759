"""Checks that an operator runs before starting the services of new code."""

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from oslo_config import cfg
from oslo_policy import policy

from karbor_like import secret, service
from karbor_like.cmd import manage, status
from karbor_like.db import services
from karbor_like.db.session import Database
from karbor_like.rpc import operationengine, protection
from tests.unit.bank import banks

PROVIDER = f"""
[provider]
id = 3c1d0000-0000-4000-8000-000000000001
name = Files
enabled = true
bank = filesystem
plugin = noop
[file_system_bank_plugin]
file_system_bank_path = BANK
[bank]
master_keys = {banks.master_key()}
"""


class Site:
    """The files of an installation, and the results of checks on it."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        #: Further configuration files.
        self.more: list[Path] = []
        self._capsys = capsys
        (path / "providers.d").mkdir()
        self.provider = path / "providers.d" / "files.conf"
        self.bank = path / "bank"
        self.bank.mkdir()
        self.provide(PROVIDER)
        self.write("secret", f"keys = {secret.new_key()}")

    def provide(self, text: str) -> None:
        self.provider.write_text(text.replace("BANK", str(self.bank)))
        self.provider.chmod(0o640)

    def write(self, section: str, *lines: str) -> None:
        text = "\n".join((f"[{section}]", *lines, f"[database]\nconnection = sqlite:///{self.path}/db.sqlite\n"))
        self.conf.write_text(text)
        self.conf.chmod(0o640)

    @property
    def conf(self) -> Path:
        return self.path / "karbor_like.conf"

    def beat(self, binary: str, host: str = "node1", **report: object) -> None:
        """Send a heartbeat of another process, which may be of another release."""
        database = Database(service.configure([], files=[str(self.conf)]))
        database.write(lambda session: services.beat(session, binary, host, "process 7", report))
        database.dispose()

    def serve(self, api: "Api") -> None:
        """Use *api*, and an account that needs no Keystone."""
        endpoint = f"http://127.0.0.1:{api.server_port}"
        lines = ["[service_auth]", "auth_type = none", "[data_protect_client]", f"endpoint_override = {endpoint}"]
        self.write("secret", f"keys = {secret.new_key()}", *lines)

    def sync(self) -> None:
        assert manage.main(["--config-file", str(self.path / "karbor_like.conf"), "db", "sync"]) == 0

    def check(self) -> tuple[int, dict[str, tuple[int, str | None]]]:
        """Run the checks, and return the exit code and the result and details of each check."""
        self._capsys.readouterr()
        files = [word for path in (self.conf, *self.more) for word in ("--config-file", str(path))]
        code = status.main([*files, "upgrade", "check", "--json"])
        checks = json.loads(self._capsys.readouterr().out)["checks"]
        return code, {check["check"]: (check["result"], check["details"]) for check in checks}


class Api(ThreadingHTTPServer):
    """Answers every request in the same way."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.body: object = {"health": {"problems": []}}
        self.paths: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        content = json.dumps(self.server.body).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as found:
        thread = threading.Thread(target=found.serve_forever, args=[0.01])
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    return Site(tmp_path, capsys)


def test_all_checks_succeed(site: Site, api: Api):
    site.sync()
    site.serve(api)
    code, found = site.check()
    assert (code, set(found.values())) == (0, {(0, None)})
    assert list(found) == [
        "Configuration",
        "Files",
        "Policies",
        "Database schema",
        "Providers",
        "Running services",
        "API",
    ]
    assert api.paths == ["/health"]


def test_without_an_account_or_an_endpoint_no_request_is_sent(site: Site, api: Api):
    site.sync()
    code, found = site.check()
    assert (code, found["API"][0]) == (1, 1)
    assert "[service_auth] is not configured" in found["API"][1]
    site.write("secret", f"keys = {secret.new_key()}", "[service_auth]", "auth_type = none")
    code, found = site.check()
    assert (code, found["API"][0]) == (1, 1)
    assert "register the endpoint of the API" in found["API"][1]


@pytest.mark.parametrize(
    ("status", "result", "said"),
    [
        (200, 1, "no karbor-protection works"),
        (401, 2, "401"),
        (403, 1, "role 'service'"),
        (404, 1, "an earlier release"),
        (500, 2, "the log of the API has the reason"),
        (503, 2, "the log of the API has the reason"),
    ],
)
def test_what_the_api_answers_is_reported(site: Site, api: Api, status: int, result: int, said: str):
    site.sync()
    site.serve(api)
    api.status = status
    api.body = {"health": {"problems": ["no karbor-protection works"]}} if status == 200 else {"error": {}}
    code, found = site.check()
    assert (code, found["API"][0]) == (result, result)
    assert said in found["API"][1]


def test_an_api_that_is_not_started_is_a_warning(site: Site, api: Api):
    site.sync()
    site.serve(api)
    api.server_close()
    code, found = site.check()
    assert (code, found["API"][0]) == (1, 1)
    assert "if the API is not started yet" in found["API"][1]


@pytest.mark.parametrize(
    ("options", "package"),
    [([], "python-memcached"), (["memcache_sasl_enabled = true"], "python-binary-memcached")],
)
def test_a_missing_package_for_the_cache_of_tokens_is_a_failure(site: Site, monkeypatch, options, package):
    site.sync()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    lines = ["[keystone_authtoken]", "memcached_servers = localhost:11211", *options]
    site.write("secret", f"keys = {secret.new_key()}", *lines)
    code, found = site.check()
    assert (code, found["Configuration"][0]) == (2, 2)
    assert f"pip install {package}'" in found["Configuration"][1]


def test_a_database_with_an_old_schema_is_a_failure(site: Site):
    code, found = site.check()
    assert code == 2
    result, said = found["Database schema"]
    assert result == 2
    assert "schema version none" in said
    assert "karbor-like-manage db sync" in said


def test_an_unreachable_database_is_a_failure(site: Site):
    site.path.joinpath("karbor_like.conf").write_text(
        f"[secret]\nkeys = {secret.new_key()}\n[database]\nconnection = sqlite:////nowhere/db.sqlite\n"
    )
    code, found = site.check()
    assert (code, found["Database schema"][0]) == (2, 2)


def test_a_configuration_that_prevents_a_start_is_a_failure(site: Site):
    site.sync()
    site.write("secret")
    code, found = site.check()
    assert code == 2
    assert "[secret] keys is empty" in found["Configuration"][1]


def test_a_policy_with_an_unknown_rule_is_a_failure(site: Site):
    site.sync()
    (site.path / "policy.yaml").write_text('"plan:create": "rule:nobody_knows"\n')
    code, found = site.check()
    assert code == 2
    assert "plan:create" in found["Policies"][1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('"plan:creat": "rule:plan:get"', "nothing uses the policy 'plan:creat'; did you mean 'plan:create'?"),
        ('"zzzz": "role:x"', "nothing uses the policy 'zzzz'; remove it"),
        ('"plan:create": "rule:own"\n"own": "role:x"', None),
    ],
)
def test_a_policy_that_nothing_uses_is_a_warning(site: Site, text: str, said: str | None):
    site.sync()
    (site.path / "policy.yaml").write_text(f"{text}\n")
    assert site.check()[1]["Policies"] == ((1, said) if said else (0, None))


@pytest.mark.filterwarnings("ignore:Policy .* was deprecated:UserWarning")
def test_a_deprecated_policy_is_a_warning(tmp_path: Path):
    """This release has none."""
    conf = cfg.ConfigOpts()
    (tmp_path / "policy.yaml").write_text('"old": "role:x"\n"leaving": "role:x"\n"new": "role:y"\n')
    conf([], default_config_files=[])
    enforcer = policy.Enforcer(conf, policy_file=str(tmp_path / "policy.yaml"))
    old = policy.DeprecatedRule("old", "role:y", deprecated_reason="has a better name", deprecated_since="1")
    enforcer.register_defaults(
        [
            policy.RuleDefault("new", "role:z", deprecated_rule=old),
            policy.RuleDefault(
                "leaving", "role:z", deprecated_for_removal=True, deprecated_reason="no use", deprecated_since="1"
            ),
        ]
    )
    enforcer.load_rules()
    assert list(status.useless_rules(enforcer)) == [
        "policy 'leaving' is deprecated: no use",
        "policy 'old' is deprecated; name it 'new'",
    ]


def test_files_with_secrets_that_every_user_can_read_are_a_warning(site: Site):
    site.sync()
    site.conf.chmod(0o644)
    site.provider.chmod(0o604)
    code, found = site.check()
    assert code == 1
    for path in (site.conf, site.provider):
        assert f"{path}: every user of this host has access to its secrets; run 'chmod o= {path}'" in found["Files"][1]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("[database]\nconnection = mysql+pymysql://user:hunter2@host/db", True),
        ("[database]\nconnection = sqlite:////x/db", False),
        ("[api]\npublic_url = http://[2001:db8::1]:80/a:b@c", False),
        ("[bank]\nmaster_keys = first:AAAA", True),
    ],
)
def test_only_files_with_secrets_are_checked(site: Site, text: str, secret: bool):
    site.sync()
    other = site.path / "other.conf"
    other.write_text(f"{text}\n[database]\nconnection = sqlite:///{site.path}/db.sqlite\n")
    other.chmod(0o644)
    site.more = [other]
    assert site.check()[1]["Files"][0] == (1 if secret else 0)


def test_directories_that_do_not_exist_are_a_warning(site: Site):
    site.sync()
    site.bank.rmdir()
    site.write("DEFAULT", f"log_dir = {site.path}/log", "[secret]", f"keys = {secret.new_key()}")
    code, found = site.check()
    assert code == 1
    assert found["Files"] == (1, f"log_dir = {site.path}/log is not a directory; create it, or mount it")
    assert found["Providers"][1] == (
        f"{site.provider}:9: [file_system_bank_plugin] file_system_bank_path = {site.bank}"
        " is not a directory; create it, or mount it"
    )


def test_running_services_that_this_release_cannot_call_are_a_warning(site: Site):
    site.sync()
    major, minor = map(int, protection.VERSION.split("."))
    site.beat(service.PROTECTION_BINARY, "current", rpc=protection.VERSION)
    site.beat(service.PROTECTION_BINARY, "newer", rpc=f"{major}.{minor + 1}")
    site.beat(service.OPERATION_ENGINE_BINARY, "current", rpc=operationengine.VERSION)
    assert site.check()[1]["Running services"] == (0, None)
    site.beat(service.PROTECTION_BINARY, "older", rpc=f"{major}.{minor - 1}")
    site.beat(service.PROTECTION_BINARY, "oldest", hung=[])
    site.beat(service.OPERATION_ENGINE_BINARY, "other", rpc="1.7")
    code, found = site.check()
    result, said = found["Running services"]
    assert (code, result) == (1, 1)
    assert said.split("; ") == [
        f"karbor-protection on older (process 7) has version {major}.{minor - 1} of its RPC, "
        f"this release calls {protection.VERSION}",
        f"set [upgrade_levels] protection = {major}.{minor - 1} until it is upgraded, or upgrade it first",
        "karbor-protection on oldest (process 7) is of an earlier release, which does not report the version of its RPC",
        "set [upgrade_levels] protection until it is upgraded, or upgrade it first",
        f"karbor-operationengine on other (process 7) has version 1.7 of its RPC, this release has {operationengine.VERSION}",
        "stop all services before you start this release",
    ]


def test_a_pin_is_enough_for_services_of_an_earlier_release_and_needless_without_them(site: Site):
    site.sync()
    site.write("upgrade_levels", "protection = 3.1", "[secret]", f"keys = {secret.new_key()}")
    site.beat(service.PROTECTION_BINARY, "current", rpc=protection.VERSION)
    for report in ({"hung": []}, {"rpc": "3.1"}):
        site.beat(service.PROTECTION_BINARY, "older", **report)
        assert site.check()[1]["Running services"] == (0, None)
    site.beat(service.PROTECTION_BINARY, "older", rpc=protection.VERSION)
    assert site.check()[1]["Running services"] == (
        1,
        "[upgrade_levels] protection = 3.1: every protection service is upgraded; remove the option",
    )
    site.beat(service.PROTECTION_BINARY, "older", rpc="3.0")
    assert "has version 3.0 of its RPC, this release calls 3.1" in str(site.check()[1]["Running services"][1])


def test_a_wrong_pin_is_a_failure(site: Site):
    site.sync()
    site.write("upgrade_levels", "operationengine = 1.0", "[secret]", f"keys = {secret.new_key()}")
    result, said = site.check()[1]["Configuration"]
    assert (result, str(said).partition(":")[0]) == (2, "[upgrade_levels] operationengine = 1.0")


def test_an_invalid_provider_is_a_warning_that_names_its_file(site: Site):
    site.sync()
    site.provide(PROVIDER.replace("bank = filesystem", "bank = tapes"))
    code, found = site.check()
    assert code == 1
    assert f"{site.provider}:" in found["Providers"][1]
    assert "tapes" in found["Providers"][1]


def test_secrets_are_not_shown(site: Site, capsys: pytest.CaptureFixture[str]):
    site.sync()
    site.write("secret", f"keys = {secret.new_key()}", "[service_auth]", "password = hunter$part")
    code, found = site.check()
    assert code == 2
    assert "karbor_like.conf:4: [service_auth] password: contains a '$'" in found["Configuration"][1]
    assert "part" not in str(found)
    text = (site.path / "karbor_like.conf").read_text()
    (site.path / "karbor_like.conf").write_text(text.replace("sqlite:///", "mysql://u:hunter$part@h/"))
    code, found = site.check()
    assert "[database] connection: contains a '$'" in found["Configuration"][1]
    assert "write '$$'" in found["Database schema"][1]
    assert "part" not in str(found)
    site.write("secret", "keys hunter2")
    assert status.main(["--config-file", str(site.path / "karbor_like.conf"), "upgrade", "check"]) == 2
    captured = capsys.readouterr()
    assert "karbor_like.conf:2: No ':' or '='" in captured.err
    assert "hunter2" not in captured.out + captured.err


def test_two_providers_with_one_id_are_a_warning(site: Site):
    site.sync()
    shutil.copy(site.provider, twin := site.provider.with_name("twin.conf"))
    code, found = site.check()
    assert (code, f"{twin}:3: [provider] id: " in found["Providers"][1]) == (1, True)


def test_no_provider_is_a_warning(site: Site):
    site.sync()
    site.provider.unlink()
    code, found = site.check()
    assert (code, "nothing can be protected" in found["Providers"][1]) == (1, True)
