"""Checks that an operator runs before starting the services of new code."""

import json
from pathlib import Path

import pytest

from karbor_like import secret
from karbor_like.cmd import manage, status
from tests.unit.bank import banks

PROVIDER = f"""
[provider]
id = 3c1d0000-0000-4000-8000-000000000001
name = Files
enabled = true
bank = filesystem
plugin = noop
[file_system_bank_plugin]
file_system_bank_path = /nowhere
[bank]
master_keys = {banks.master_key()}
"""


class Site:
    """The files of an installation, and the results of checks on it."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self._capsys = capsys
        (path / "providers.d").mkdir()
        self.provider = path / "providers.d" / "files.conf"
        self.provider.write_text(PROVIDER)
        self.write("secret", f"keys = {secret.new_key()}")

    def write(self, section: str, *lines: str) -> None:
        text = "\n".join((f"[{section}]", *lines, f"[database]\nconnection = sqlite:///{self.path}/db.sqlite\n"))
        (self.path / "karbor_like.conf").write_text(text)

    def sync(self) -> None:
        assert manage.main(["--config-file", str(self.path / "karbor_like.conf"), "db", "sync"]) == 0

    def check(self) -> tuple[int, dict[str, tuple[int, str | None]]]:
        """Run the checks, and return the exit code and the result and details of each check."""
        self._capsys.readouterr()
        code = status.main(["--config-file", str(self.path / "karbor_like.conf"), "upgrade", "check", "--json"])
        checks = json.loads(self._capsys.readouterr().out)["checks"]
        return code, {check["check"]: (check["result"], check["details"]) for check in checks}


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    return Site(tmp_path, capsys)


def test_all_checks_succeed(site: Site):
    site.sync()
    code, found = site.check()
    assert (code, set(found.values())) == (0, {(0, None)})
    assert set(found) == {"Configuration", "Policies", "Database schema", "Providers"}


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


def test_an_invalid_provider_is_a_warning_that_names_its_file(site: Site):
    site.sync()
    site.provider.write_text(PROVIDER.replace("bank = filesystem", "bank = tapes"))
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
    (twin := site.provider.with_name("twin.conf")).write_text(PROVIDER)
    code, found = site.check()
    assert (code, f"{twin}:3: [provider] id: " in found["Providers"][1]) == (1, True)


def test_no_provider_is_a_warning(site: Site):
    site.sync()
    site.provider.unlink()
    code, found = site.check()
    assert (code, "nothing can be protected" in found["Providers"][1]) == (1, True)
