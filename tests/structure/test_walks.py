"""The page of walks names files and functions that exist. ``tox -e walks`` renews it."""

import ast
import importlib.util
import re
from types import ModuleType

import pytest

from tests.structure.source import PACKAGE, ROOT

_ROW = re.compile(r"^ {5}- ``([\w/]+\.py)``\n {5}- (.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    path = ROOT / "tools" / "trace_requests.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(tool: ModuleType) -> str:
    return tool.PAGE.read_text()


def functions_of(path: str) -> set[str]:
    """The qualified names of all functions of a file that are not local to a function."""
    names = set()
    scopes: list[tuple[str, ast.AST]] = [("", ast.parse((PACKAGE / path).read_text()))]
    while scopes:
        prefix, scope = scopes.pop()
        for node in ast.iter_child_nodes(scope):
            if isinstance(node, ast.ClassDef):
                scopes.append((f"{prefix}{node.name}.", node))
            elif isinstance(node, ast.FunctionDef):
                names.add(prefix + node.name)
    return names


def test_every_file_and_function_exists(page: str) -> None:
    rows = _ROW.findall(page)
    assert len(rows) > 20
    missing = {}
    for path, functions in rows:
        unknown = set(re.findall(r"``([\w.]+)``", functions)) - functions_of(path)
        if unknown:
            missing[path] = unknown
    assert not missing, "run tox -e walks"


def test_every_helper_exists(tool: ModuleType) -> None:
    paths = [path for group in tool.HELPERS.values() for path in group]
    assert [path for path in paths if not (PACKAGE / path).exists()] == []
    assert len(paths) == len(set(paths))


def test_the_walk_of_a_protect_is_short(tool: ModuleType, page: str) -> None:
    walk = page.partition("\nProtect\n")[2].partition("\nRestore\n")[0]
    files = {path for path, _ in _ROW.findall(walk)}
    assert 10 < len(files) <= 20
    assert not [path for path in files if tool.is_helper(path)]
