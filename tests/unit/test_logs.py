"""The log under outages of the database and the bus, and with hostile texts."""

import io
import json
import logging
import subprocess
import sys
import threading
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_log import formatters

from karbor_like import exception, logs, service
from karbor_like.clock import ManualClock
from karbor_like.db.session import Database
from karbor_like.watchdog import Watchdog
from tests.fixtures.configuration import write_service
from tests.fixtures.processes import environment

FORGED = "data\n2031-01-01 00:00:00.000 1 ERROR karbor_like [-] forged\r\x1b[2J\x1b]0;title\x07\x85\u2028\u202e"

#: Name of the thread of a periodic task.
PERIODIC = "the poll"


class Log:
    """A handler in the log of this process, set up as those of a service."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.clock = ManualClock()
        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.setFormatter(formatter)
        # Threads that other tests left behind may still log.
        threads = {threading.current_thread().name, PERIODIC}
        self.handler.addFilter(lambda record: record.threadName in threads)
        logs.protect(self.handler, self.clock)

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


def _conf() -> cfg.ConfigOpts:
    conf = service.known_options()
    conf([], default_config_files=[])
    return conf


@pytest.fixture(params=["context", "plain"])
def log(request):
    formatter = formatters.ContextFormatter(config=_conf()) if request.param == "context" else logging.Formatter()
    yield from _attached(Log(formatter))


def _attached(found: Log):
    logging.getLogger().addHandler(found.handler)
    yield found
    logging.getLogger().removeHandler(found.handler)


@pytest.fixture
def json_log():
    yield from _attached(Log(formatters.JSONFormatter()))


def logger(name: str = "karbor_like.test") -> logging.Logger:
    found = logging.getLogger(name)
    found.setLevel(logging.DEBUG)
    return found


@pytest.mark.parametrize(
    "template", ["volume %s is unreachable", "volume %r is unreachable", "volume %(name)s is unreachable"]
)
def test_a_name_cannot_forge_lines_or_control_a_terminal(log: Log, template: str):
    logger().warning(template, {"name": FORGED} if "(" in template else FORGED)
    assert len(log.lines) == 1
    assert all(character.isprintable() for character in log.text.rstrip("\n"))
    assert "data\\n2031" in log.text


def test_half_of_a_surrogate_pair_is_escaped():
    # Not through a logger: reports of tests are UTF-8.
    assert logs.escape("data\udc80") == r"data\udc80"


def test_the_text_of_an_error_and_a_message_that_is_formatted_already(log: Log):
    logger().error("failed: %s", exception.InvalidInput(FORGED))
    logger().error(f"failed: {FORGED}")  # noqa: G004 - as libraries do
    assert len(log.lines) == 2
    assert all(line.isprintable() for line in log.lines)


def test_tracebacks_keep_their_lines_without_control_characters(log: Log):
    try:
        raise ValueError(FORGED)
    except ValueError:
        logger().exception("failed")
    assert any("Traceback (most recent call last)" in line for line in log.lines)
    assert any("raise ValueError(FORGED)" in line for line in log.lines)
    assert all(line.isprintable() for line in log.lines)
    assert "\\x1b[2J" in log.text


def test_json_stays_valid(json_log: Log):
    try:
        raise ValueError(FORGED)
    except ValueError:
        logger().exception("volume %s is unreachable", FORGED)
    found = json.loads(json_log.text)
    assert len(json_log.lines) == 1
    assert "data\\n2031" in found["message"]
    assert "Traceback" in found["traceback"]


def test_every_handler_formats_the_record_as_it_was(log: Log, json_log: Log, caplog):
    logger().warning("volume %s is unreachable", "a\nb")
    assert "volume a\\nb is unreachable" in log.text
    assert "volume a\\nb is unreachable" in json.loads(json_log.text)["message"]
    assert caplog.records[-1].args == ("a\nb",)


def outage(log: Log, seconds: int, happen: Any) -> None:
    """Let *happen* be called every second."""
    for _ in range(seconds):
        happen()
        log.clock.advance(1)


def fail_with(error: Exception) -> Exception:
    try:
        raise error
    except Exception as raised:  # noqa: BLE001 - has a traceback now
        return raised


@pytest.mark.parametrize(
    "happen",
    [
        lambda: logger().error("poll failed", exc_info=fail_with(db_exception.DBConnectionError("2003"))),
        lambda: logger().warning("the database is unreachable: %s", exception.DatabaseUnavailable("away")),
        lambda: logger("oslo.messaging._drivers.impl_rabbit").error("[%s] Connection failed: %s", "id", "refused"),
        lambda: logger("oslo_db.sqlalchemy.engines").warning(f"{id(object())} attempts left"),  # noqa: G004
        lambda: logger("amqp").error("closed"),
    ],
)
def test_an_outage_is_one_line_and_then_a_count_each_minute(log: Log, happen):
    outage(log, 45, happen)
    assert len(log.lines) == 1, log.text
    assert "Traceback" not in log.text
    outage(log, 45, happen)
    assert len(log.lines) == 2
    assert "(59 more such messages were left out)" in log.lines[1]
    outage(log, 90, happen)
    assert len(log.lines) == 3


def test_other_messages_are_not_left_out(log: Log):
    for number in range(10):
        logger().warning("run %s will be retried: %s", number, exception.Unavailable("no answer"))
        logger("oslo.messaging").info("ready")
        logger("oslo_messaging_like").error("failed")
        logger().critical("ends")
    assert len(log.lines) == 40


def test_kinds_are_told_apart_and_bounded(log: Log, monkeypatch):
    monkeypatch.setattr(logs, "_MAX_KINDS", 10)
    for number in range(30):
        logger().error("failed", extra={logs.REPEATING: f"task {number}"})
    assert len(log.lines) == 30
    logger().error("failed", extra={logs.REPEATING: "task 29"})
    assert len(log.lines) == 30
    logger().error("failed", extra={logs.REPEATING: "task 1"})
    assert len(log.lines) == 31


def test_a_database_that_does_not_answer_at_the_start_is_logged_once(log: Log, tmp_path: Path):
    away = {"max_retries": 5, "retry_interval": 0}
    url = "postgresql+psycopg2://user:secret@127.0.0.1:1/karbor_like"
    path = write_service(tmp_path / "karbor_like.conf", database_url=url, database=away)
    database = Database(service.configure([], files=[str(path)]))
    with pytest.raises(db_exception.DBError):
        database.wait()
    database.dispose()
    assert sum("the next attempt is in 0 seconds" in line for line in log.lines) == 1


def test_a_periodic_task_logs_the_first_failure_and_that_it_works_again(log: Log):
    errors: list[Exception | None] = [*[ZeroDivisionError("a bug")] * 50, None, None]
    done = threading.Event()

    def call() -> None:
        error = errors.pop(0)
        if not errors:
            periodic.stop(0)
            done.set()
        if error:
            raise error

    logger("karbor_like.service")
    clock = ManualClock()  # advances by the interval for each wait
    periodic = service.Periodic(PERIODIC, 0.1, call, clock, Watchdog(clock, 60))
    periodic.start()
    assert done.wait(60)
    assert periodic.stop(60)
    said = [line for line in log.lines if "the poll" in line]
    assert len(said) == 2, said
    assert "the poll failed" in said[0]
    assert log.text.count("Traceback") == 1
    assert "the poll works again after 50 failures" in said[1]


@pytest.fixture
def root():
    """The root logger, whose handlers are put back afterwards."""
    root = logging.getLogger()
    before = list(root.handlers), root.level
    yield root
    for handler in set(root.handlers) - set(before[0]):
        handler.close()
    root.handlers, root.level = before[0], before[1]


def test_all_handlers_of_a_service_are_set_up(tmp_path, root):
    path = tmp_path / "karbor_like.conf"
    path.write_text(f"[DEFAULT]\nlog_file = {tmp_path}/service.log\nuse_stderr = true\n")
    service.prepare(["--config-file", str(path)])
    logger().warning("volume %s", "a\nb")
    assert [type(handler.formatter) for handler in root.handlers] == [logs.SafeFormatter] * 2
    assert "volume a\\nb" in (tmp_path / "service.log").read_text()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (None, None),
        ("karbor_like.cmd.protection", "karbor-like-protection"),
        ("karbor_like.cmd.manage.__main__", "karbor-like-manage"),
        ("karbor_like.sandbox.__main__", "karbor_like.sandbox"),
    ],
)
def test_a_module_that_is_run_has_the_name_of_its_script(module, name):
    main = ModuleType("__main__")
    main.__spec__ = None if module is None else ModuleSpec(module, None)
    assert logs.program_of(main, service.PROJECT) == name


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(
    ("options", "names"),
    [
        ("log_dir = {}", {"karbor-like-protection.log"}),
        ("log_dir = {}\nlog_file = mine", {"mine"}),
        ("log_file = {}/mine", {"mine"}),
        ("use_stderr = true", set()),
    ],
)
def test_the_log_of_a_module_that_is_run(tmp_path, monkeypatch, options, names):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", ModuleSpec("karbor_like.cmd.protection", None))
    path = tmp_path / "karbor_like.conf"
    path.write_text(f"[DEFAULT]\n{options.format(tmp_path)}\n")
    service.prepare(["--config-file", str(path)])
    assert {found.name for found in tmp_path.iterdir()} == {path.name, *names}


def test_python_tells_which_module_is_run(tmp_path):
    (tmp_path / "probe.py").write_text("from karbor_like import service\nservice.prepare()\n")
    command = [sys.executable, "-W", "ignore", "-m", "probe", "--log-dir", tmp_path]
    subprocess.run(command, check=True, env=environment(), cwd=tmp_path)
    assert [found.name for found in tmp_path.glob("*.log")] == ["probe.log"]
