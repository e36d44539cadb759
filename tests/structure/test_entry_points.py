"""What setup.cfg promises to others exists."""

import importlib
from functools import reduce

import pytest

from tests.structure.source import entry_point_groups, entry_points

TARGETS = [(group, name) for group in entry_point_groups() for name in entry_points(group)]


@pytest.mark.parametrize(("group", "name"), TARGETS)
def test_entry_point_leads_somewhere(group: str, name: str) -> None:
    module, attribute = entry_points(group)[name].split(":")
    assert reduce(getattr, attribute.split("."), importlib.import_module(module)) is not None
