"""``python -m tests.faults``: run cells of the fault matrix, all or a random sample, and write the table of the results."""

import argparse
import datetime
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

# First, because the first import of oslo.service selects its backend for the process.
import karbor_like.service  # noqa: F401
from tests.faults.kinds import KINDS, LONG_OUTAGE, OUTAGE, outage
from tests.faults.matrix import Cell, Matrix, Result, all_cells
from tests.faults.subjects import OPERATIONS, SUBJECTS
from tests.faults.system import System, running


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--all", action="store_true", help="run every cell, which takes many hours")
    parser.add_argument("--minutes", type=float, default=4.0, help="begin no cell after so many minutes (4)")
    parser.add_argument("--seed", help="of the random order; by default, another one in each run")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME=VALUE[,VALUE...]",
        help="a part of the matrix: subject, operation or kind; can be repeated",
    )
    parser.add_argument(
        "--outage",
        type=float,
        metavar="SECONDS",
        help=f"for which a database is unreachable ({OUTAGE:g}; with --all: {LONG_OUTAGE:g})",
    )
    parser.add_argument("--cell", action="append", default=[], help="run this cell, as a failure names it")
    parser.add_argument("--list", action="store_true", help="print the cells and run none")
    parser.add_argument("--table", type=Path, help="write the results to this file, as reStructuredText")
    parser.add_argument("--append", action="store_true", help="keep the results that the file has")
    options = parser.parse_args(arguments)
    if options.outage is None:
        options.outage = LONG_OUTAGE if options.all else OUTAGE
    options.parts = {"subject": list(SUBJECTS), "operation": list(OPERATIONS), "kind": list(KINDS)}
    for part in options.only:
        name, _, values = part.partition("=")
        unknown = set(values.split(",")) - set(options.parts.get(name, ()))
        if unknown:
            parser.error(f"--only {part}: {', '.join(sorted(unknown))} is unknown; expected {options.parts}")
        options.parts[name] = values.split(",")
    return options


def _select(options: argparse.Namespace, matrix: Matrix, seed: str) -> list[Cell]:
    if options.cell:
        options.parts = {
            name: sorted({text.split(" ")[index] for text in options.cell})
            for index, name in enumerate(("subject", "operation", "kind"))
        }
    cells = all_cells(matrix, options.parts["subject"], options.parts["operation"], options.parts["kind"])
    if options.cell:
        return [cell for cell in cells if str(cell) in options.cell]
    if not options.all:
        random.Random(seed).shuffle(cells)
    return cells


def _run(system: System, options: argparse.Namespace, seed: str) -> tuple[list[Result], int]:
    matrix = Matrix(system, outage(options.outage))
    cells = _select(options, matrix, seed)
    if options.list:
        print(*cells, sep="\n")
        return [], len(cells)
    results = []
    end = time.monotonic() + options.minutes * 60
    for cell in cells:
        if not options.all and not options.cell and time.monotonic() > end:
            break
        result = matrix.run(cell)
        results.append(result)
        print(
            f"{_word(result):8} {result.seconds:5.1f} s  {cell}", *(f"    {text}" for text in result.problems), sep="\n"
        )
        if result.problems:
            print(system.logs())
        sys.stdout.flush()
    return results, len(cells)


def _first_line(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def table(results: Iterable[Result], total: int, seed: str, options: argparse.Namespace) -> str:
    """Return the results as reStructuredText: operations x kinds of faults."""
    results = list(results)
    counts = Counter((result.cell.kind, result.cell.operation, _word(result)) for result in results)

    def shown(kind: str, operation: str) -> str:
        passed, failed, missed = (counts[kind, operation, word] for word in ("passed", "failed", "not met"))
        if not passed + failed + missed:
            return "–"
        return f"{passed}" + (f", **{failed} failed**" if failed else "") + (f", {missed} not met" if missed else "")

    kinds, operations = options.parts["kind"], options.parts["operation"]
    rows = [["Fault", *operations]]
    rows += [[KINDS[name].about, *(shown(name, each) for each in operations)] for name in kinds]
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'*' if not index else ' '} - {text}" for index, text in enumerate(row)]
    commit = _first_line("git", "rev-parse", "--short=12", "HEAD")
    head = (
        f"{len(results)} of {total} cells of {', '.join(options.parts['subject'])}, run on"
        f" {datetime.date.today():%Y-%m-%d} at commit ``{commit}`` with seed ``{seed}``, and a database that was"
        f" unreachable for {options.outage:g} seconds: {sum(counts[key] for key in counts if key[2] == 'failed')} failed."
    )
    return "\n".join([head, "", *lines, ""])


def _word(result: Result) -> str:
    return "failed" if result.problems else "passed" if result.struck else "not met"


def main() -> int:
    """Run the cells that the command line selects.

    :returns: exit code, 1 if a cell failed
    """
    options = parse()
    seed = options.seed or str(random.randrange(1 << 32))
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="karbor_like-faults-") as directory, running(Path(directory)) as system:
        results, total = _run(system, options, seed)
    words = Counter(map(_word, results))
    print(f"{len(results)} of {total} cells:", ", ".join(f"{count} {word}" for word, count in words.items()))
    if options.table:
        before = options.table.read_text() + "\n" if options.append else ""
        options.table.write_text(before + table(results, total, seed, options))
    return 1 if words["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
