"""The infrastructure of the tests: supervised processes, servers with empty databases, and the summary of test runs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import sqlalchemy
from kombu.connection import Connection
from kombu.entity import Queue

from tests.cloud.errors import HarnessError
from tests.cloud.layout import Layout
from tests.cloud.processes import Daemon, Supervisor
from tests.cloud.servers import RabbitMQ, SqlServer
from tests.contract.datapath.suites import nothing_left
from tools import summary

SLEEP = [sys.executable, "-c", "import time; print('here', flush=True); time.sleep(600)"]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path)
    yield supervisor
    supervisor.stop_all(gently=False)


def sleeper(supervisor: Supervisor, **values: object) -> Daemon:
    def ready() -> bool:
        return "here" in supervisor.tail("sleeper")

    return Daemon(**{"name": "sleeper", "argv": SLEEP, "ready": ready, **values})


def test_a_new_supervisor_finds_a_running_process(supervisor: Supervisor) -> None:
    supervisor.ensure(sleeper(supervisor))
    first = supervisor.process("sleeper")

    second = Supervisor(supervisor.state)
    second.ensure(sleeper(second))

    assert first is not None
    assert second.process("sleeper") == first


def test_a_killed_process_is_restarted(supervisor: Supervisor) -> None:
    supervisor.ensure(sleeper(supervisor))
    first = supervisor.process("sleeper")
    supervisor.kill("sleeper")
    assert supervisor.process("sleeper") is None

    supervisor.ensure(sleeper(supervisor))

    assert supervisor.process("sleeper") not in (None, first)


def test_a_foreign_process_with_a_recorded_pid_is_not_stopped(supervisor: Supervisor) -> None:
    supervisor.ensure(sleeper(supervisor))
    pid = supervisor.process("sleeper").pid
    record = supervisor.state / "run" / "sleeper.json"
    with subprocess.Popen(SLEEP) as foreign:
        text = record.read_text()
        record.write_text(text.replace(f'"pid": {pid}', f'"pid": {foreign.pid}').replace('"created": ', '"created": 1'))
        assert supervisor.process("sleeper") is None
        supervisor.stop("sleeper")
        assert foreign.poll() is None
        foreign.kill()


def test_a_process_is_restarted_when_its_configuration_file_changes(supervisor: Supervisor, tmp_path: Path) -> None:
    config = tmp_path / "sleeper.conf"
    config.write_text("one")
    supervisor.ensure(sleeper(supervisor, configs=[config]))
    first = supervisor.process("sleeper")
    supervisor.ensure(sleeper(supervisor, configs=[config]))
    assert supervisor.process("sleeper") == first

    config.write_text("two")
    supervisor.ensure(sleeper(supervisor, configs=[config]))

    assert supervisor.process("sleeper") not in (None, first)


def test_the_error_about_a_failed_process_has_the_end_of_its_log(supervisor: Supervisor) -> None:
    with pytest.raises(HarnessError, match="no such option: --nonsense"):
        supervisor.ensure(
            sleeper(supervisor, argv=[sys.executable, "-c", "raise SystemExit('no such option: --nonsense')"])
        )


def test_a_process_that_daemonised_itself_is_stopped(supervisor: Supervisor) -> None:
    daemonise = f"import subprocess; subprocess.Popen({SLEEP!r}, start_new_session=True); print('here')"
    supervisor.ensure(sleeper(supervisor, argv=[sys.executable, "-c", f"{daemonise}; import time; time.sleep(600)"]))
    (orphan,) = supervisor.process("sleeper").children()
    supervisor.process("sleeper").kill()

    supervisor.stop_all()

    assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE


def test_processes_that_a_server_starts_are_not_left_behind_by_a_test() -> None:
    script = "import subprocess, sys; input(); subprocess.Popen(['sleep', '600']); print('here', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin
        assert server.stdout
        with nothing_left():
            server.stdin.write(b"\n")
            server.stdin.flush()
            assert server.stdout.readline() == b"here\n"
        (child,) = psutil.Process(server.pid).children()
        child.kill()
        server.kill()


def test_a_process_that_a_test_leaves_behind_is_noticed() -> None:
    child = None
    try:
        with pytest.raises(AssertionError, match="processes are left"), nothing_left():
            child = subprocess.Popen(["sleep", "600"])
    finally:
        assert child
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    "kind",
    [pytest.param("mariadb", marks=pytest.mark.mariadb), pytest.param("postgresql", marks=pytest.mark.postgresql)],
)
def test_each_test_gets_an_empty_database(kind: str, request: pytest.FixtureRequest) -> None:
    server: SqlServer = request.getfixturevalue(kind)
    urls = [server.new_database(), server.new_database()]
    for url in urls:
        engine = sqlalchemy.create_engine(url)
        assert sqlalchemy.inspect(engine).get_table_names() == []
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE here (id INTEGER)"))
        engine.dispose()
        server.drop(url)


def test_a_virtual_host_supports_quorum_queues(rabbitmq: RabbitMQ, transport_url: str) -> None:
    with Connection(transport_url.replace("rabbit://", "amqp://")) as connection:
        queue = Queue("here", durable=True, queue_arguments={"x-queue-type": "quorum"})
        queue(connection.channel()).declare()
        queues = rabbitmq.manage("GET", f"queues/{transport_url.rpartition('/')[2]}")
    assert [(entry["name"], entry["type"]) for entry in queues] == [("here", "quorum")]


def test_the_summary_adds_up_the_reports_of_several_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = '<testsuites><testsuite tests="{}" failures="{}" errors="{}" skipped="{}" time="1.5"/></testsuites>'
    (tmp_path / "one.xml").write_text(report.format(10, 0, 0, 3))
    assert summary.main(tmp_path) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "total: 7 passed, 0 failed, 3 skipped"

    (tmp_path / "two.xml").write_text(report.format(5, 1, 1, 0))
    assert summary.main(tmp_path) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "total: 10 passed, 2 failed, 3 skipped"


def test_the_summary_shows_times_and_where_scenarios_ran(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    environments = {"lint": {"result": {"duration": 61.2}}, "cloud": {"result": {"duration": 700.0}}, "unit": {}}
    (tmp_path / "tox.json").write_text(json.dumps({"testenvs": environments}))
    (tmp_path / "cloud.xml").write_text(
        """<testsuites><testsuite tests="2" failures="0" errors="0" skipped="0" time="650">
        <properties><property name="left to another commit" value="test_long"/></properties>
        <testcase classname="tests.scenario.test_copies" name="test_quick" time="1.25"/>
        <testcase classname="tests.scenario.test_copies" name="test_slow" time="44"/>
        </testsuite></testsuites>"""
    )

    assert summary.main(tmp_path) == 0

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1:4] == ["environment passed failed skipped seconds", "lint 61", "cloud 2 0 0 700"]
    assert [line.split()[0] for line in lines if "test_copies::" in line] == ["44.0", "1.2"]
    assert "tests.scenario ran in cloud (2 tests)" in lines
    assert "tests.functional.conformance ran in nothing" in lines
    assert "cloud: left to another commit: test_long" in lines


def test_the_summary_names_the_failed_tests_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "py3.xml").write_text(
        """<testsuites><testsuite tests="3" failures="1" errors="1" skipped="0" time="2">
        <testcase classname="tests.bank" name="test_right" time="1"/>
        <testcase classname="tests.bank" name="test_wrong" time="1"><failure message="assert 1 == 2&#10; where"/></testcase>
        <testcase classname="tests.bank" name="test_left" time="0"><error message="no bank"/></testcase>
        </testsuite></testsuites>"""
    )
    assert summary.main(tmp_path) == 1
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "failed: py3  tests.bank::test_wrong  assert 1 == 2",
        "failed: py3  tests.bank::test_left  no bank",
        "total: 1 passed, 2 failed, 0 skipped",
    ]


def test_a_cleared_cloud_keeps_its_installation_and_no_data(tmp_path: Path) -> None:
    layout = Layout(state=tmp_path, first_port=24000, data_protect_port=24050)
    (layout.data("cinder") / "left").write_text("a volume that cannot be deleted")
    layout.once("accounts", "1", lambda: None)
    layout.venv.mkdir()
    layout.clear()
    assert layout.venv.is_dir()
    assert list(layout.data("cinder").iterdir()) == []
    repeated: list[str] = []
    layout.once("accounts", "1", lambda: repeated.append("accounts"))
    assert repeated == ["accounts"]


def test_a_second_cloud_has_its_own_ports_and_data(tmp_path: Path) -> None:
    first = Layout(state=tmp_path, first_port=24000, data_protect_port=24050)
    second = first.second()
    assert (second.auth_url, second.data_protect_port) == ("http://127.0.0.1:24100/v3", 24150)
    assert second.data("mariadb") != first.data("mariadb")
    assert (second.venv, second.first) == (first.venv, first)
