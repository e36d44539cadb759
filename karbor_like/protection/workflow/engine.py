"""Runs flows with TaskFlow: the first run, each resume after a crash, and the revert of a flow that cannot be finished.

All three are one call, because a flow is rebuilt from its operation's row and matched with the saved flow by the names of its
tasks. The comments name the edge cases of TaskFlow that this module handles.
"""

import logging
from collections.abc import Callable
from concurrent import futures
from enum import Enum
from typing import Any, Final, Protocol

import stevedore
from oslo_config import cfg
from sqlalchemy import orm
from taskflow import engines, states
from taskflow.engines.action_engine import compiler
from taskflow.flow import Flow
from taskflow.persistence import models
from taskflow.types.failure import Failure

from karbor_like import exception
from karbor_like.conf.protection import SHORT_OPERATIONS
from karbor_like.db.session import Database
from karbor_like.protection.workflow.bounded_executor import BoundedExecutor
from karbor_like.protection.workflow.persistence import Holder

LOG = logging.getLogger(__name__)

#: States of an atom that needs no revert.
_UNTOUCHED: Final = frozenset({None, states.PENDING, states.IGNORE, states.REVERTED})


class Outcome(Enum):
    """How a run ended."""

    DONE = "done"
    REVERTED = "reverted"
    #: It can be resumed: it was suspended, or its storage failed.
    UNFINISHED = "unfinished"


class Persistence(Protocol):
    """The product of an entry point of ``karbor_like.persistences``: see :class:`.persistence.DatabasePersistence`."""

    def upgrade(self) -> None: ...

    def save(self, session: orm.Session, flow_id: str, name: str) -> None: ...

    def forget(self, session: orm.Session, flow_id: str) -> None: ...

    def backend(self, holder: Holder) -> Any: ...


def threads(conf: cfg.ConfigOpts) -> futures.Executor:
    """Build the executor ``threads``: one pool, large enough for all flows of the process."""
    size = conf.taskflow.tasks_per_operation * (conf.protection.max_operations + SHORT_OPERATIONS)
    return futures.ThreadPoolExecutor(size, thread_name_prefix="task")


def persistence(conf: cfg.ConfigOpts, database: Database) -> Persistence:
    """Build the persistence that ``[taskflow] persistence`` names."""
    return _driver("karbor_like.persistences", conf.taskflow.persistence)(database)


def _driver(namespace: str, name: str) -> Callable[..., Any]:
    try:
        return stevedore.DriverManager(namespace, name, warn_on_missing_entrypoint=False).driver
    except stevedore.exception.NoMatches:
        raise exception.ConfigurationError(
            f"[taskflow]: no {name!r} is installed in {namespace}; correct the option"
        ) from None


class Flows:
    """The workflow engine of one process."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database) -> None:
        self.persistence = persistence(conf, database)
        self._engine = conf.taskflow.engine
        self._width: int = conf.taskflow.tasks_per_operation
        # TaskFlow's own pool costs a second at the end of each flow, and would not bound the threads of the process.
        self._executor: futures.Executor = _driver("karbor_like.executors", conf.taskflow.executor)(conf)

    def close(self) -> None:
        """Start no further task of any flow."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def run(self, flow: Flow, flow_id: str, holder: Holder, *, undo: bool = False) -> Outcome:
        """Run or resume *flow*, saved as *flow_id*, to its end.

        :param undo: revert what was done instead of resuming
        :raises LeaseLost: *holder* raised it; nothing is saved any more, and tasks may still be running
        """
        backend = self.persistence.backend(holder)
        detail = backend.get_connection().get_flow_details(flow_id)
        outcome = _settled(detail)
        if outcome is not None:
            return outcome
        _repair(detail, backend)
        executor = BoundedExecutor(self._executor, self._width)
        try:
            self._run(flow, detail, backend, executor, undo=undo)
        except exception.LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 - the border of a flow, which raises the failures of its tasks again
            LOG.debug("Flow %s ended with %r", flow_id, error)
        finally:
            executor.shutdown(cancel_futures=True)
        # TaskFlow changes the detail only after it has saved the change.
        return _settled(detail) or Outcome.UNFINISHED

    def _run(
        self, flow: Flow, detail: models.FlowDetail, backend: Any, executor: futures.Executor, *, undo: bool
    ) -> None:
        options = {} if self._engine == "serial" else {"executor": executor}
        engine = engines.load(flow, flow_detail=detail, backend=backend, engine=self._engine, **options)
        engine.compile()
        engine.prepare()
        if undo:
            for node, attributes in engine.compilation.execution_graph.nodes(data=True):
                if attributes["kind"] in compiler.ATOMS:
                    engine.storage.set_atom_intention(node.name, states.REVERT)
        engine.run()

    def failures(self, flow_id: str, holder: Holder) -> list[Failure]:
        """Return the failures of a flow's tasks."""
        detail = self.persistence.backend(holder).get_connection().get_flow_details(flow_id)
        return [atom.failure for atom in detail if atom.failure]


def _settled(detail: models.FlowDetail) -> Outcome | None:
    """Return how the flow ended, or None if it did not. TaskFlow would rerun a reverted flow from the start."""
    if detail.state == states.SUCCESS:
        return Outcome.DONE
    # A flow that is suspended while many tasks wait for a thread is saved as REVERTED although no task was reverted.
    if detail.state == states.REVERTED and all(atom.state in _UNTOUCHED for atom in detail):
        return Outcome.REVERTED
    return None


def _repair(detail: models.FlowDetail, backend: Any) -> None:
    """Change the saved states of an unfinished flow so that TaskFlow resumes it."""
    changed = False
    if detail.state == states.REVERTED:
        detail.state = states.SUSPENDED
        changed = True
    for atom in detail:
        # TaskFlow never reverts the tasks before one whose revert failed, so that revert is retried.
        if atom.state == states.REVERT_FAILURE:
            atom.state = states.REVERTING
            changed = True
    if changed:
        backend.get_connection().update_flow_details(detail)
