"""Services that cannot start say why and exit with a code that supervisors know."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from karbor_like import exception, service
from karbor_like.api.server import ApiService
from karbor_like.cmd import allinone, api, manage, status
from karbor_like.db import migration
from karbor_like.operationengine.service import OperationEngine
from karbor_like.protection.service import ProtectionService
from tests.fixtures.configuration import write_service
from tests.fixtures.database import open_database
from tests.fixtures.processes import environment


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a database with the newest schema."""
    found = f"sqlite:///{tmp_path}/karbor_like.sqlite"
    database = open_database(found)
    migration.sync(database)
    database.dispose()
    return found


def set_version(url: str, version: str) -> None:
    database = open_database(url)
    table = sa.table(migration.VERSION_TABLE, sa.column("version_num"))
    database.write(lambda session: session.execute(sa.update(table).values(version_num=version)))
    database.dispose()


@pytest.mark.parametrize("kind", [ApiService, ProtectionService, OperationEngine])
@pytest.mark.parametrize(("version", "advice"), [("0020", "karbor-like-manage db sync"), ("9999", "a newer release")])
def test_a_service_does_not_start_on_the_schema_of_another_release(url, tmp_path, caplog, kind, version, advice):
    set_version(url, version)
    conf = service.configure([], files=[str(write_service(tmp_path / "karbor_like.conf", database_url=url))])
    assert service.run(conf, kind(conf)) == os.EX_CONFIG
    assert service.run_in_process(conf, [kind(conf)]) == os.EX_CONFIG
    assert f"schema version {version}, this code needs {migration.head()}" in caplog.text
    assert advice in caplog.text


def test_a_database_that_does_not_answer_is_no_reason_not_to_start(tmp_path):
    class Started(Exception):
        pass

    class Some(service.Service):
        def check(self) -> None:
            migration.check_of(conf)

        def start(self) -> None:
            raise Started

    path = write_service(tmp_path / "karbor_like.conf", database_url="sqlite:////nowhere/db.sqlite")
    conf = service.configure([], files=[str(path)])
    with pytest.raises(Started):
        service.run_in_process(conf, [Some()])


def test_an_upgrade_does_not_go_back(url, tmp_path, capsys):
    set_version(url, "9999")
    path = write_service(tmp_path / "karbor_like.conf", database_url=url)
    with pytest.raises(exception.ConfigurationError, match="a newer release"):
        migration.sync(open_database(url))
    assert manage.main(["--config-file", str(path), "db", "sync"]) == 1
    assert "a newer release has upgraded it" in capsys.readouterr().err
    assert allinone.main(["--config-file", str(path)]) == os.EX_CONFIG


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(None, "Failed to find some config files", id="no file"),
        pytest.param("[database\n", "karbor_like.conf:1: Invalid section", id="no section"),
        pytest.param("[database]\nconnection = mysql://a:p$s@h/b\n", "write '$$' for a '$'", id="a reference"),
        pytest.param("[api]\nport = 0\n", "[database] connection: is not set", id="no database"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_named_without_a_traceback(tmp_path, capsys, caplog, text, said):
    path = tmp_path / "karbor_like.conf"
    if text is not None:
        path.write_text(text)
    arguments = ["--config-file", str(path)]
    assert api.main(arguments) == os.EX_CONFIG
    logged = caplog.text + capsys.readouterr().out
    assert said in logged
    assert str(path) in logged
    assert manage.main([*arguments, "db", "version"]) == 1
    assert said in capsys.readouterr().err
    assert status.main([*arguments, "upgrade", "check"]) == 2
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    if text is None:
        assert allinone.main(arguments) == os.EX_CONFIG


@pytest.mark.parametrize(
    ("main", "section", "option"),
    [
        pytest.param(api.main, "api", "workers", id="api"),
        pytest.param(allinone.main, "database", "max_retries", id="all"),
    ],
)
def test_an_invalid_value_of_an_option_is_named_without_a_traceback(tmp_path, capsys, main, section, option):
    path = write_service(tmp_path / "karbor_like.conf", **{section: {option: "two"}})
    assert main(["--config-file", str(path)]) == os.EX_CONFIG
    logged = capsys.readouterr().out
    assert f"Value for option {option}" in logged
    assert "Traceback" not in logged


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("[service_auth]\npassword secret\n", "karbor_like.conf:2: ", id="cannot be parsed"),
        pytest.param("[operationengine]\npoll_interval = soon\n", "Value for option poll_interval", id="a value"),
        pytest.param("[operationengine]\npoll_interval = $soon\n", "soon", id="a reference"),
        pytest.param(None, "Failed to find some config files", id="no file"),
        pytest.param(b"\xff", "codec can't decode", id="not a text"),
    ],
)
def test_a_reload_of_files_with_a_mistake_changes_nothing_and_ends_no_process(tmp_path, caplog, text, said):
    path = tmp_path / "karbor_like.conf"
    path.write_text("[operationengine]\npoll_interval = 3\n")
    conf = service.configure([], files=[str(path)])
    if text is None:
        path.unlink()
    else:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert conf.mutate_config_files() == {}
    assert conf.operationengine.poll_interval == 3
    assert "The configuration is not reloaded" in caplog.text
    assert said in caplog.text
    assert "secret" not in caplog.text

    path.write_text("[operationengine]\npoll_interval = 4\n")
    assert conf.mutate_config_files()
    assert conf.operationengine.poll_interval == 4


_STUCK = """
import socket, sys
from concurrent import futures
from karbor_like import service

class Some(service.Service):
    def start(self):
        server = socket.create_server(("127.0.0.1", 0))
        self.silent = socket.create_connection(server.getsockname()), server
        futures.ThreadPoolExecutor(1).submit(self.silent[0].recv, 1)
        print("ready", flush=True)

sys.exit(service.run_in_process(service.configure([], files=[]), [Some()]))
"""


def test_a_process_ends_with_code_0_although_a_thread_waits_for_a_silent_peer():
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _STUCK], stdout=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        # Its own limit, graceful_shutdown_timeout, ends it after 60 seconds with the signal SIGALRM.
        assert process.wait(120) == os.EX_OK
