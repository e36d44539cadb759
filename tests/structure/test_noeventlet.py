"""None of our processes imports eventlet, directly or through a library, whether or not it is installed.

An installed eventlet prints a deprecation warning when it is imported, so that every command would print it.

A contract in setup.cfg ensures that none of our modules imports it directly.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fixtures.processes import environment
from tests.structure.source import ROOT, entry_points, modules

SCRIPTS = entry_points("console_scripts")


def run(code: str, *args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *args]
    return subprocess.run(
        command, cwd=ROOT, env=env or environment(), capture_output=True, text=True, timeout=120, check=False
    )


def test_an_import_of_eventlet_is_blocked() -> None:
    answer = run("import eventlet")
    assert answer.returncode != 0
    assert "eventlet is blocked here" in answer.stderr


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_console_script_does_not_import_an_installed_eventlet(script: str, tmp_path: Path) -> None:
    (tmp_path / "eventlet.py").write_text("raise RuntimeError('eventlet was imported')")
    module, function = SCRIPTS[script].split(":")
    code = f"import sys; from {module} import {function}; sys.exit({function}())"
    answer = run(code, "--help", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "usage" in answer.stdout.lower()


def test_every_module_can_be_imported_without_eventlet() -> None:
    # Alembic's env runs inside Alembic only; __main__ would start a process.
    names = [name for name in modules() if not name.endswith(("__main__", ".migration.env"))]
    answer = run(f"import importlib\nfor name in {names!r}: importlib.import_module(name)")
    assert answer.returncode == 0, answer.stderr
