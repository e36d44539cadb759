"""Cells, and the course of one: prepare, strike at the point, heal, wait, check, tidy."""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oslo_db import exception as db_exception

from tests.faults.checks import GOOD, Change, Checks
from tests.faults.kinds import KINDS, Kind
from tests.faults.points import Point, Visit
from tests.faults.subjects import SUBJECTS, Subject, Things, remove
from tests.faults.system import COPIES, System
from tests.functional.protection.site import until


@dataclass(frozen=True)
class Cell:
    """One fault at one point of one operation on one subject."""

    subject: str
    operation: str
    kind: str
    point: Point

    def __str__(self) -> str:
        return f"{self.subject} {self.operation} {self.kind} @ {self.point}"


@dataclass
class Result:
    """What came of a cell.

    :param struck: whether the operation came to the point
    """

    cell: Cell
    struck: bool
    seconds: float
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Course:
    """What an operation does without a fault.

    :param points: in the order in which they were met
    """

    points: Sequence[Point]
    change: Change


class Matrix:
    """The cells of a running system. What they need is prepared once.

    :param kinds: the kinds of faults, by name
    """

    def __init__(self, system: System, kinds: Mapping[str, Kind] = KINDS) -> None:
        self._system = system
        self._kinds = kinds
        self._prepared: dict[str, _Prepared] = {}
        self._courses: dict[tuple[str, str, bool], _Course] = {}

    def course(self, subject: str, operation: str, *, asked: bool = False) -> "_Course":
        """Return what an operation does without a fault.

        :param asked: whether a request to the API begins it
        """
        if (subject, operation, asked) not in self._courses:
            self._system.ensure()
            prepared = self._prepare(subject)
            started = prepared.begin(operation, asked=asked)
            checks = Checks(self._system, prepared.subject, prepared.checkpoint_id)
            self._system.watch.expect()
            row = self._system.wait_ended(**started())
            # What a restore cannot keep, such as an address in use, is its reason.
            assert row.status in GOOD, f"{subject} {operation} failed without a fault: {row.error_info}"
            points = [point for point in self._system.watch.seen() if point.is_stable]
            self._courses[subject, operation, asked] = _Course(points, checks.seen())
            prepared.tidy(row, checks.made())
        return self._courses[subject, operation, asked]

    def cells(self, subject: str, operation: str, kind: str) -> list[Cell]:
        """Return the cells of a kind of fault in an operation."""
        found = self._kinds[kind]
        points = self.course(subject, operation, asked=found.in_request).points
        return [Cell(subject, operation, kind, point) for point in points if found.strikes(point)]

    def _prepare(self, name: str) -> "_Prepared":
        if name not in self._prepared:
            self._prepared[name] = _Prepared(self._system, SUBJECTS[name])
        return self._prepared[name]

    def run(self, cell: Cell) -> Result:
        """Run a cell."""
        system, kind, prepared = self._system, self._kinds[cell.kind], self._prepare(cell.subject)
        change = self.course(cell.subject, cell.operation, asked=kind.in_request).change
        began = time.monotonic()
        system.ensure()
        start = prepared.begin(cell.operation, asked=kind.in_request)
        checks = Checks(system, prepared.subject, prepared.checkpoint_id, change, prepared.content)
        fault, row, problems = _Fault(system, kind), None, []
        system.watch.expect(cell.point, fault.strike)
        try:
            started = start()
            if started:
                row = self._follow(started)
        finally:
            fault.heal()
        system.ensure()
        if row is not None:
            problems += [
                f"{key} cannot be deleted, and the operation does not say so: {row.error_info}"
                for key in system.reset_undeletable()
                if key not in str(row.error_info)
            ]
            # What remains is deleted by whichever service lives.
            row = system.wait_ended(**started)
        # The last points come after the end of the operation is visible.
        struck = system.watch.met.wait(1.0)
        system.ensure()
        bank_failed = cell.kind.startswith("store-")
        problems += checks.problems(row, must_succeed=kind.survives, bank_failed=bank_failed)
        if row is not None:
            prepared.tidy(row, checks.made())
        if fault.stepped is not None:
            # The next cells need a service whose clock is right: tokens seem to have expired to this one.
            system.end(fault.stepped)
        return Result(cell, struck, time.monotonic() - began, problems)

    def _follow(self, started: dict[str, Any]) -> Any:
        def look() -> Any:
            self._system.ensure()
            try:
                return self._system.operation(**started)
            except db_exception.DBError:
                return None  # the fault

        return until(look, lambda row: row is not None and row.queue_state == "done", 240, "an operation's end")


class _Fault:
    """A fault that begins once."""

    def __init__(self, system: System, kind: Kind) -> None:
        self._system = system
        self._kind = kind
        self._heal: Callable[[], None] | None = None
        self._timer: threading.Timer | None = None
        #: The process whose clock it stepped.
        self.stepped: int | None = None

    def strike(self, visit: Visit) -> float:
        self._heal = self._kind.strike(self._system, visit)
        if self._kind.seconds is not None:
            self._timer = threading.Timer(self._kind.seconds, self._heal)
            self._timer.start()
        if self._kind.step:
            self.stepped = visit.pid
        return self._kind.step

    def heal(self) -> None:
        if self._timer is not None:
            self._timer.join()
        if self._heal is not None:
            self._heal()


class _Prepared:
    """A subject that exists, with its plan and an available checkpoint."""

    def __init__(self, system: System, subject: Subject) -> None:
        self._system = system
        self.subject = subject
        before = system.belongings()
        self.resource = subject.make(system)
        self._things = system.belongings() - before
        self.content = subject.content(system, self._things)
        self.plan_id = system.plan_of(subject.provider_id, self.resource)
        self.checkpoint_id = self._protect()

    def _protect(self) -> str:
        created = self._system.protect(plan_id=self.plan_id, provider_id=self.subject.provider_id)["id"]
        row = self._system.wait_ended(checkpoint_id=created)
        assert row.status == "available", row.error_info
        return created

    def begin(self, operation: str, *, asked: bool = False) -> Callable[[], dict[str, Any]]:
        """Prepare an operation. Return what starts it, and returns the values by which it is found.

        :param asked: whether to start it by a request to the API, which may begin no operation: then there are no values
        """
        system, provider_id = self._system, self.subject.provider_id
        self.subject.change(system, self._things)
        if asked:
            return self._asking(operation)

        def protect() -> dict[str, Any]:
            return {"checkpoint_id": system.protect(plan_id=self.plan_id, provider_id=provider_id)["id"]}

        def restore() -> dict[str, Any]:
            return {"restore_id": system.restore(self.checkpoint_id, self.subject.parameters, provider_id)}

        def verify() -> dict[str, Any]:
            # Without a level, every byte is checked.
            return {"verification_id": system.verify(self.checkpoint_id, provider_id)}

        def copy() -> dict[str, Any]:
            (created,) = system.copy(
                self.plan_id,
                provider_id=provider_id,
                target_provider_id=COPIES,
                checkpoint_ids=[chosen],
            ).values()
            return {"checkpoint_id": created}

        def delete() -> dict[str, Any]:
            system.delete(chosen, provider_id)
            return {"checkpoint_id": chosen, "operation_type": "delete"}

        if operation in ("copy", "delete"):
            chosen = self._protect()
        return {"protect": protect, "restore": restore, "verify": verify, "copy": copy, "delete": delete}[operation]

    def _asking(self, operation: str) -> Callable[[], dict[str, Any]]:
        system, provider_id = self._system, self.subject.provider_id
        checkpoints = f"/providers/{provider_id}/checkpoints"
        chosen = self._protect() if operation in ("copy", "delete") else self.checkpoint_id
        of = {"provider_id": provider_id, "checkpoint_id": chosen}
        requests: dict[str, tuple[str, str, dict[str, Any]]] = {
            "protect": ("POST", checkpoints, {"checkpoint": {"plan_id": self.plan_id}}),
            "restore": ("POST", "/restores", {"restore": {**of, "parameters": self.subject.parameters}}),
            "verify": ("POST", "/verifications", {"verification": {**of, "parameters": {}}}),
            "delete": ("DELETE", f"{checkpoints}/{chosen}", {}),
            "copy": (
                "POST",
                f"{checkpoints}/action",
                {"copy": {"plan_id": self.plan_id, "target_provider_id": COPIES, "checkpoint_ids": [chosen]}},
            ),
        }
        method, path, body = requests[operation]
        known = system.operation_ids()

        def start() -> dict[str, Any]:
            system.ask(method, path, **body)
            new = system.operation_ids() - known
            assert len(new) <= 1, f"one request began {len(new)} operations"
            return {"id": new.pop()} if new else {}

        return start

    def tidy(self, row: Any, made: Things) -> None:
        """Delete what an operation restored, and a checkpoint that failed."""
        system = self._system
        if row.operation_type == "restore" and row.status == "success":
            remove(system, made)
        if row.status in ("error", "error-deleting"):
            provider_id = COPIES if row.operation_type == "copy" else self.subject.provider_id
            system.watch.expect()
            system.delete(row.checkpoint_id, provider_id)
            again = system.wait_ended(checkpoint_id=row.checkpoint_id, operation_type="delete")
            assert again.status == "deleted", f"the checkpoint cannot be deleted: {again.error_info}"


def all_cells(matrix: Matrix, subjects: Sequence[str], operations: Sequence[str], kinds: Sequence[str]) -> list[Cell]:
    """Return the cells of these subjects, operations and kinds."""
    return [
        cell
        for subject in subjects
        for operation in operations
        if operation in SUBJECTS[subject].operations
        for kind in kinds
        for cell in matrix.cells(subject, operation, kind)
    ]


@dataclass(frozen=True)
class Draw:
    """A cell that is chosen before the points are known.

    :param where: the place of the point in the operation, from 0 to 1
    """

    subject: str
    operation: str
    kind: str
    where: float

    def __str__(self) -> str:
        return f"{self.subject}-{self.operation}-{self.kind}-{self.where:.3f}"

    def cell(self, matrix: Matrix) -> Cell:
        """Return the cell. It is a kill if the kind does not apply to the operation, as Cinder has no part in a copy."""
        cells = matrix.cells(self.subject, self.operation, self.kind)
        cells = cells or matrix.cells(self.subject, self.operation, "kill")
        return cells[int(self.where * len(cells))]


def draw(seed: str, number: int) -> list[Draw]:
    """Choose cells at random. Half of them are kills; there are two subjects, as each takes some time to prepare."""
    chance = random.Random(seed)
    subjects = ["volume", chance.choice([name for name in SUBJECTS if name != "volume"])]
    every = [(subject, operation) for subject in subjects for operation in SUBJECTS[subject].operations]
    kinds = [name for name in KINDS if name != "kill"]
    chosen = []
    for turn in range(number):
        kind = "kill" if turn % 2 else chance.choice(kinds)
        chosen.append(Draw(*chance.choice(every), kind, chance.random()))
    return sorted(chosen, key=lambda each: (subjects.index(each.subject), each.operation))
