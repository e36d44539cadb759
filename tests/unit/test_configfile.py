"""Files with secrets, which no message shows."""

from pathlib import Path

import pytest

from karbor_like import configfile, exception, service

FILE = """\
[DEFAULT]
# a comment
log_dir = $log_file/x

[database]
connection = mysql://u:pw@h/x
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "karbor_like.conf").write_text(FILE)
    return tmp_path / "karbor_like.conf"


def test_lines_of_assignments(path: Path) -> None:
    path.write_text(f"{FILE}\n[a]\nb = 1\n  2\nb=3\nc-d: '4'")
    found = [(entry.line, entry.section, entry.name, entry.value) for entry in configfile.ConfigFile(path).entries]
    assert found == [
        (3, "DEFAULT", "log_dir", "$log_file/x"),
        (6, "database", "connection", "mysql://u:pw@h/x"),
        (9, "a", "b", "1\n2"),
        (11, "a", "b", "3"),
        (12, "a", "c_d", "4"),
    ]
    assert configfile.ConfigFile(path).sections == {"DEFAULT": 1, "database": 5, "a": 8}


def test_other_options_may_refer_to_options(path: Path) -> None:
    path.write_text(FILE.replace("u:pw@h", "h/$name"))
    service.configure([], files=[str(path)])


@pytest.mark.parametrize(
    "line",
    [
        "connection = mysql://u:hunter$part@h/x",
        "transport_url = rabbit://u:hunter${part}x@h,u:y@g/",
        "password = hunter$part",
        "admin-password = hunter$part",
        "memcache_secret_key = hunter$part",
        "keys = hunter$part",
        "root_token_id = hunter$part",
    ],
)
def test_secret_does_not_refer_to_options(path: Path, line: str) -> None:
    path.write_text(f"{FILE}{line}\n")
    with pytest.raises(exception.ConfigurationError) as caught:
        service.configure([], files=[str(path)])
    option = line.partition(" ")[0]
    assert str(caught.value).startswith(f"{path}:7: [database] {option}: contains a '$'")
    assert "hunter" not in str(caught.value)
    assert "part" not in str(caught.value)


@pytest.mark.parametrize("value", ["hunter$$part", r"hunter\$part", "hunter$", "5$ $1"])
def test_dollar_that_is_no_reference(path: Path, value: str) -> None:
    path.write_text(f"{FILE}password = {value}\n")
    service.configure([], files=[str(path)])


def test_files_of_a_directory_are_checked(path: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "secrets.conf").write_text("[service_auth]\npassword = hunter$part\n")
    with pytest.raises(exception.ConfigurationError, match=r"secrets.conf:2: \[service_auth\] password: "):
        service.configure(["--config-dir", str(tmp_path / "more")], files=[str(path)])


@pytest.mark.parametrize(
    ("line", "told"),
    [("password hunter2", "No ':' or '='"), ("[hunter2", "Invalid section"), ("= hunter2", "Key cannot be empty")],
)
def test_line_that_cannot_be_parsed_is_not_shown(path: Path, line: str, told: str) -> None:
    path.write_text(f"{FILE}{line}\n")
    with pytest.raises(exception.ConfigurationError) as caught:
        service.configure([], files=[str(path)])
    assert str(caught.value).startswith(f"{path}:7: {told}")
    assert "hunter2" not in str(caught.value)
