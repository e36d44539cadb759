"""Imports point down, and never in a circle."""

import graphlib
import subprocess
import sys

import grimp

from tests.structure.source import ROOT

# In a process of its own: the command sets up logging, which disables every logger that exists where it runs.
LINT = (
    "import sys; from importlinter import cli; sys.exit(cli.lint_imports(config_filename='setup.cfg', no_cache=True))"
)


def test_import_contracts_hold() -> None:
    done = subprocess.run([sys.executable, "-c", LINT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_module_imports_itself_through_others() -> None:
    graph = grimp.build_graph("karbor_like", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()
