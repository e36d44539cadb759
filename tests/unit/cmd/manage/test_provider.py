"""The operator's check of providers' files."""

from pathlib import Path

import pytest

from karbor_like.cmd.manage import main
from tests.unit.bank import banks

FILE = f"""\
[provider]
id = 3c1d0000-0000-4000-8000-000000000001
name = Files
enabled = true
bank = filesystem
plugin = noop

[file_system_bank_plugin]
file_system_bank_path = {{path}}

[bank]
master_keys = {banks.master_key()}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "providers.d").mkdir()
    (tmp_path / "bank").mkdir()
    path = tmp_path / "providers.d" / "files.conf"
    path.write_text(FILE.format(path=tmp_path / "bank"))
    return path


@pytest.fixture
def check(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A function that runs the command and returns its exit code, standard output and standard error."""
    (tmp_path / "karbor_like.conf").write_text("[DEFAULT]\n")

    def run(*words: str | Path) -> tuple[int, str, str]:
        code = main(["--config-file", str(tmp_path / "karbor_like.conf"), "provider", "check", *map(str, words)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_all_files_of_the_installation_are_checked(check, file):
    (file.parent / "off.conf").write_text(file.read_text().replace("true", "false").replace("0001", "0002"))
    code, out, _ = check()
    assert code == 0
    assert [line.partition(":")[0] for line in out.splitlines()] == [str(file), str(file.parent / "off.conf")]


def test_the_bank_is_left_as_it_was(check, file, tmp_path):
    assert check(file)[0] == 0
    assert [path for path in (tmp_path / "bank").rglob("*") if path.is_file()] == []


def test_what_differs_from_karbor_is_no_mistake(check, file):
    file.write_text(file.read_text() + "[swift_bank_plugin]\nlease_renew_window = 100\n")
    code, out, _ = check(file)
    assert code == 0
    assert f"{file}:14: [swift_bank_plugin] lease_renew_window: is ignored" in out
    assert "no mistakes found" in out


@pytest.mark.parametrize(
    ("directory", "problem"),
    [("leases", "its bank cannot be used"), (".tmp", "its bank can be read, but not written, so it protects nothing")],
)
def test_a_bank_that_refuses(check, file, tmp_path, directory, problem):
    # A link to itself is refused at once; a bank that does not answer would be asked again for half a minute.
    (tmp_path / "bank" / "karbor").mkdir()
    (tmp_path / "bank" / "karbor" / directory).symlink_to(directory)
    code, out, _ = check(file)
    assert code == 1
    assert f"{file}: {problem}: " in out
    code, out, _ = check(file, "--offline")
    assert (code, "no mistakes found" in out) == (0, True)


def test_every_mistake_has_its_file_line_and_option(check, file):
    other = file.parent / "other.conf"
    other.write_text(file.read_text().replace("enabled", "Enabled"))
    twin = file.parent / "twin.conf"
    twin.write_text(file.read_text())
    code, out, _ = check(file, other, twin)
    assert code == 1
    assert "no mistakes found" in out.splitlines()[0]
    assert f"{other}:4: [provider] Enabled: nothing reads this option; did you mean enabled?" in out
    assert f"{twin}:2: [provider] id: 3c1d0000-0000-4000-8000-000000000001 is used by {file}" in out


def test_a_file_that_does_not_exist(check, tmp_path):
    code, out, _ = check(tmp_path / "nothing.conf")
    assert (code, "nothing.conf" in out) == (1, True)


def test_no_files(check, file):
    file.unlink()
    code, _, err = check()
    assert (code, "name the files to check" in err) == (1, True)
