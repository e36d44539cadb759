"""The progress on standard error."""

import io

import pytest

from karbor_like_client.osc import progress
from karbor_like_client.v1.work import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return Terminal()


def test_a_terminal_shows_a_bar_with_bytes(terminal):
    with progress.shown("restore [1]", terminal) as show:
        show(Progress("in_progress", 0, None, {}))
        show(Progress("in_progress", 5_000_000, 20_000_000, {"a#b": {"step": "reading blocks"}}))
    assert "5.0/20.0 MB" in terminal.getvalue()
    assert "restore [1]: reading blocks" in terminal.getvalue()


def test_an_operation_that_waits_shows_its_position(terminal):
    waiting = Progress("in_progress", 0, None, {}, {"position": 3, "length": 17})
    stream = io.StringIO()
    with progress.shown("restore 1", stream) as show:
        show(waiting)
        show(waiting)
        show(Progress("in_progress", 0, None, {}, {"position": 2, "length": 17}))
        show(Progress("in_progress", 0, 100, {}))
    assert stream.getvalue().splitlines() == [
        "restore 1: in_progress, queued, 3 of 17",
        "restore 1: in_progress, queued, 2 of 17",
        "restore 1: in_progress, 0 bytes of 100 bytes",
    ]
    with progress.shown("restore 1", terminal) as show:
        show(waiting)
    assert "restore 1: queued, 3 of 17" in terminal.getvalue()


def test_a_file_gets_a_line_for_each_tenth():
    stream = io.StringIO()
    with progress.shown("restore 1", stream) as show:
        for done in range(0, 101, 5):
            show(Progress("in_progress", done, 100, {}))
        show(Progress("success", 100, 100, {}))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "restore 1: in_progress, 0 bytes of 100 bytes"
    assert len(lines) == 12
    assert lines[-1] == "restore 1: success, 100 bytes of 100 bytes"
