"""A random sample of the fault matrix. The commit is the seed, so that another run of the same commit has the same sample."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.faults import kinds, matrix, soak
from tests.faults.system import System, running

#: Cells. Each takes three to ten seconds on an idle machine.
CELLS = 20


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True)
    return found.stdout.strip() or "no commit"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "drawn" in metafunc.fixturenames:
        seed = metafunc.config.getoption("--faults-seed") or _commit()
        metafunc.parametrize("drawn", matrix.draw(seed, CELLS), ids=str)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("faults")) as found:
        yield found


@pytest.fixture(scope="module")
def cells(request: pytest.FixtureRequest, system: System) -> matrix.Matrix:
    return matrix.Matrix(system, kinds.outage(request.config.getoption("--faults-outage")))


def test_a_fault_at_a_point_of_an_operation(
    request: pytest.FixtureRequest, system: System, cells: matrix.Matrix, drawn: matrix.Draw
):
    cell = drawn.cell(cells)
    result = cells.run(cell)
    seed = request.config.getoption("--faults-seed") or _commit()
    print(f"seed {seed}; cell {cell}{'' if result.struck else ' (not met)'}")
    repeat = f'python -m tests.faults --cell "{cell}"'
    assert not result.problems, f"{result.problems}\nto repeat it: {repeat}\n{system.logs()}"


def test_many_operations_leave_nothing_behind(system: System):
    soaked = soak.Soak(system)
    soaked.run(cycles=6, kill_every=4)

    after = soaked.settle()

    print(soaked.table(after))
    assert after == soaked.before
    for first, last in soaked.usage.values():
        assert last.threads <= first.threads + 8
        # Connections that are left open for further requests: up to 8 to the bank, and a few to the database and the cloud.
        assert last.descriptors <= first.descriptors + 8 + 16
        assert last.memory <= first.memory + 128
