"""Imports point down without cycles, and the domain imports only the standard library, ``exception`` and ``clock``."""

import graphlib
import subprocess
import sys

import grimp

from tests.structure.source import ROOT

#: The modules of this package that the domain may import.
DOMAIN_MAY_IMPORT = {"karbor_like.exception", "karbor_like.clock"}

# In a separate process: the command configures logging, which disables all existing loggers.
LINT = (
    "import sys; from importlinter import cli; sys.exit(cli.lint_imports(config_filename='setup.cfg', no_cache=True))"
)


def test_import_contracts_hold() -> None:
    done = subprocess.run([sys.executable, "-c", LINT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_domain_imports_only_the_standard_library_exception_and_clock() -> None:
    graph = grimp.build_graph("karbor_like", include_external_packages=True, cache_dir=None)
    domain = {module for module in graph.modules if f"{module}.".startswith("karbor_like.domain.")}
    imported = {name for module in domain for name in graph.find_modules_directly_imported_by(module)}
    outside = {name for name in imported - domain if name.partition(".")[0] not in sys.stdlib_module_names}
    assert outside <= DOMAIN_MAY_IMPORT


def test_imports_have_no_cycles() -> None:
    graph = grimp.build_graph("karbor_like", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()
