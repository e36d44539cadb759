"""Edge cases of TaskFlow: interrupted, half reverted and lost flows."""

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
import sqlalchemy as sa
from oslo_config import cfg
from oslo_db import exception as db_exception
from sqlalchemy import orm
from taskflow import states, storage, task
from taskflow.patterns import linear_flow, unordered_flow

from karbor_like import exception, service
from karbor_like.db.session import Database
from karbor_like.protection.workflow.engine import Flows, Outcome

T = TypeVar("T")


class Noted(task.Task):
    """Notes what is called; *fault* maps a call to what happens in it."""

    def __init__(self, name: str, notes: list[str], fault: dict[str, Callable[[], None]]) -> None:
        super().__init__(name=name)
        self._notes = notes
        self._fault = fault

    def execute(self) -> None:
        self._call("do")

    def revert(self, **kwargs: object) -> None:
        self._call("undo")

    def _call(self, what: str) -> None:
        self._notes.append(f"{what} {self.name}")
        self._fault.get(f"{what} {self.name}", lambda: None)()


def fail() -> None:
    raise exception.ResourceFailed("no")


class StoredFlows(Flows):
    """A workflow engine that gives access to its database."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database) -> None:
        super().__init__(conf, database)
        self.database = database


@pytest.fixture
def flows(tmp_path) -> Iterator[StoredFlows]:
    path = tmp_path / "karbor_like.conf"
    path.write_text(f"[database]\nconnection = sqlite:///{tmp_path}/flows.sqlite\n")
    conf = service.configure([], files=[str(path)])
    database = Database(conf)
    found = StoredFlows(conf, database)
    found.persistence.upgrade()
    yield found
    found.close()
    database.dispose()


class Anybody:
    """A holder that never loses its flow."""

    def __init__(self) -> None:
        self.fence: Callable[[object], None] = lambda connection: None

    def outlast(self, call: Callable[[], T]) -> T:
        return call()


class Story(Anybody):
    """One flow of three tasks, run any number of times."""

    def __init__(self, flows: StoredFlows) -> None:
        super().__init__()
        self.flows = flows
        self.id = str(uuid.uuid4())
        self.notes: list[str] = []
        self.fault: dict[str, Callable[[], None]] = {}
        with flows.database.writer() as session:
            flows.persistence.save(session, self.id, "story")

    def flow(self):
        return linear_flow.Flow("story").add(*(Noted(name, self.notes, self.fault) for name in "abc"))

    def run(self, *, undo: bool = False) -> Outcome:
        self.notes.clear()
        return self.flows.run(self.flow(), self.id, self, undo=undo)

    def detail(self):
        return self.flows.persistence.backend(Anybody()).get_connection().get_flow_details(self.id)

    def set(self, state: str | None, **atoms: str) -> None:
        """Make the saved flow what a crash or a bug of the library leaves."""
        connection = self.flows.persistence.backend(Anybody()).get_connection()
        detail = connection.get_flow_details(self.id)
        detail.state = state
        for atom in detail:
            atom.state = atoms.get(atom.name, atom.state)
        connection.update_flow_details(detail)


@pytest.fixture
def story(flows: StoredFlows) -> Story:
    return Story(flows)


def test_a_finished_flow_is_never_run_again(story):
    assert story.run() is Outcome.DONE
    assert story.notes == ["do a", "do b", "do c"]
    assert story.run() is Outcome.DONE
    assert story.notes == []


def test_a_failure_is_reverted_newest_first_and_never_run_again(story):
    story.fault["do c"] = fail
    assert story.run() is Outcome.REVERTED
    assert story.notes == ["do a", "do b", "do c", "undo c", "undo b", "undo a"]
    assert [failure.exception_str for failure in story.flows.failures(story.id, story)] == ["no"]
    assert story.run() is Outcome.REVERTED
    assert story.notes == []


def test_an_interrupted_task_runs_again_and_those_before_it_do_not(story):
    story.run()
    story.set(states.RUNNING, b=states.RUNNING, c=states.PENDING)
    assert story.run() is Outcome.DONE
    assert story.notes == ["do b", "do c"]


@pytest.mark.parametrize("state", [None, states.PENDING, states.RESUMING, states.RUNNING, states.SUSPENDED])
def test_a_flow_resumes_from_the_states_of_its_tasks_only(story, state):
    story.run()
    story.set(state, b=states.RUNNING, c=states.PENDING)
    assert story.run() is Outcome.DONE
    assert story.notes == ["do b", "do c"]
    story.set(state, b=states.RUNNING, c=states.PENDING)
    assert story.run(undo=True) is Outcome.REVERTED
    assert story.notes == ["undo b", "undo a"]


def test_an_interrupted_revert_is_resumed(story):
    story.fault["do c"] = fail
    story.run()
    story.set(states.RUNNING, b=states.REVERTING, a=states.SUCCESS)
    story.fault.clear()
    assert story.run() is Outcome.REVERTED
    assert story.notes == ["undo b", "undo a"]


def test_a_revert_that_raised_is_retried(story):
    story.fault["do c"] = fail
    story.fault["undo b"] = fail
    assert story.run() is Outcome.UNFINISHED
    assert "undo a" not in story.notes
    del story.fault["undo b"]
    assert story.run() is Outcome.REVERTED
    assert story.notes == ["undo b", "undo a"]


def test_a_flow_that_the_library_calls_reverted_while_tasks_ran_is_resumed(story):
    story.run()
    story.set(states.REVERTED, b=states.RUNNING, c=states.PENDING)
    assert story.run() is Outcome.DONE
    assert story.notes == ["do b", "do c"]


def test_a_flow_that_was_half_done_is_reverted(story):
    story.run()
    story.set(states.RUNNING, b=states.RUNNING, c=states.PENDING)
    assert story.run(undo=True) is Outcome.REVERTED
    assert story.notes[-2:] == ["undo b", "undo a"]
    assert not [note for note in story.notes if note.startswith("do")]


def test_a_flow_that_never_began_is_reverted(story):
    assert story.run(undo=True) is Outcome.REVERTED
    assert not [note for note in story.notes if note.startswith("do")]


def test_a_finished_flow_is_not_reverted(story):
    story.run()
    assert story.run(undo=True) is Outcome.DONE


def test_a_process_that_lost_the_operation_saves_nothing_more(story):
    def lose() -> None:
        def fence(connection: object) -> None:
            raise exception.LeaseLost("gone")

        story.fence = fence

    story.fault["do b"] = lose
    with pytest.raises(exception.LeaseLost):
        story.run()
    assert {atom.name: atom.state for atom in story.detail()} == {
        "a": states.SUCCESS,
        "b": states.RUNNING,
        "c": states.PENDING,
    }
    story.fence = lambda connection: None
    story.fault.clear()
    assert story.run() is Outcome.DONE
    assert story.notes == ["do b", "do c"]


def test_a_storage_failure_leaves_a_flow_that_can_be_resumed(story, monkeypatch):
    # The library retries after five seconds, twice.
    monkeypatch.setattr(storage.Storage._save_atom_detail.retry, "wait", lambda state: 0)
    monkeypatch.setattr(storage.Storage._save_flow_detail.retry, "wait", lambda state: 0)

    def disconnect() -> None:
        def fence(connection: object) -> None:
            raise db_exception.DBConnectionError(Exception("the database is unreachable"))

        story.fence = fence
        threading.Timer(0.3, lambda: setattr(story, "fence", lambda connection: None)).start()

    story.fault["do b"] = disconnect
    try:
        outcome = story.run()
    except Exception:  # noqa: BLE001 - the library chooses the error that reports the database's absence
        outcome = Outcome.UNFINISHED
    assert outcome is Outcome.UNFINISHED
    story.fence = lambda connection: None
    story.fault.clear()
    assert story.run() is Outcome.DONE
    assert story.notes == ["do b", "do c"]


def test_a_flow_is_deleted(story):
    story.run()
    for _ in range(2):
        with story.flows.database.writer() as session:
            story.flows.persistence.forget(session, story.id)
    with story.flows.database.reader() as session:
        for table in ("logbooks", "flowdetails", "atomdetails"):
            assert session.execute(sa.text(f"select count(*) from {table}")).scalar_one() == 0


def test_a_flow_is_saved_in_the_transaction_of_its_session(flows):
    def save_and_fail(session: orm.Session) -> None:
        flows.persistence.save(session, "f1", "story")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        flows.database.write(save_and_fail)
    with flows.database.writer() as session:
        flows.persistence.save(session, "f1", "story")


def test_tables_may_be_upgraded_twice(flows):
    flows.persistence.upgrade()


def test_an_unknown_driver_is_a_configuration_error(flows):
    conf = service.configure([], files=[])
    conf.set_override("executor", "fax", group="taskflow")
    with pytest.raises(exception.ConfigurationError, match="no 'fax' is installed in karbor_like.executors"):
        Flows(conf, flows.database)


def test_many_tasks_share_the_pool(flows):
    story = Story(flows)
    names = [f"t{number}" for number in range(40)]
    wide = unordered_flow.Flow("story").add(*(Noted(name, story.notes, {}) for name in names))
    assert flows.run(wide, story.id, story) is Outcome.DONE
    assert sorted(story.notes) == sorted(f"do {name}" for name in names)
    assert {thread.name for thread in threading.enumerate() if thread.name.startswith("task")}
