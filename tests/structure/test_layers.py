"""Imports point down, and never in a circle."""

import graphlib
import os

import grimp
import pytest
from importlinter import cli

from tests.structure.source import ROOT


def test_import_contracts_hold(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    code = cli.lint_imports(config_filename=os.fspath(ROOT / "setup.cfg"), no_cache=True)
    assert code == 0, capsys.readouterr().out


def test_no_module_imports_itself_through_others() -> None:
    graph = grimp.build_graph("karbor_like", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()
