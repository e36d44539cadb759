"""The targets of the entry points in setup.cfg exist."""

import importlib
from functools import reduce

import pytest

from tests.structure.source import entry_point_groups, entry_points

TARGETS = [(group, name) for group in entry_point_groups() for name in entry_points(group)]


@pytest.mark.parametrize(("group", "name"), TARGETS)
def test_the_target_of_an_entry_point_exists(group: str, name: str) -> None:
    module, attribute = entry_points(group)[name].split(":")
    assert reduce(getattr, attribute.split("."), importlib.import_module(module)) is not None
