"""Warnings about modules above 400 lines and functions above 50: they deserve a review, but are not errors."""

import ast
import warnings

from tests.structure.source import PACKAGE

MODULE_LINES = 400
FUNCTION_LINES = 50


def test_large_modules_and_functions_are_reported() -> None:
    for path in sorted(PACKAGE.rglob("*.py")):
        text, name = path.read_text(), path.relative_to(PACKAGE)
        lines = len(text.splitlines())
        if lines > MODULE_LINES:
            warnings.warn(f"{name} has {lines} lines", stacklevel=1)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES:
                    warnings.warn(f"{name}: {node.name} has {length} lines", stacklevel=1)
