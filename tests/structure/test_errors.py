"""Every condition that the API reports has one stable type, which the API reference lists."""

import importlib
import re

import pytest

from karbor_like import exception
from karbor_like.api import errors, openapi
from tests.structure.source import ROOT, modules

_WELL_FORMED = re.compile(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*")
#: Raised by the API itself. Errors of other services travel over RPC as classes of ``exception.py``.
_OWN = {"karbor_like.api.errors", "karbor_like.triggers.contract"}


@pytest.fixture(scope="module")
def catalogue() -> list[tuple[type[exception.KarborLikeError], int]]:
    for name in modules():
        if ".versions." not in name and not name.endswith(("__main__", ".env", "karbor_like.wsgi")):
            importlib.import_module(name)
    return list(errors.catalogue())


def test_types_are_unique_and_well_formed(catalogue) -> None:
    types = [kind.type for kind, _ in catalogue]
    assert len(types) == len(set(types))
    assert [text for text in types if not _WELL_FORMED.fullmatch(text)] == []


def test_every_class_of_the_error_tree_has_a_type(catalogue) -> None:
    # Tenants see an error of the configuration as an error of the server.
    # What a plugin finds damaged has the same type as what the bank does.
    untyped = {exception.ConfigurationError, exception.CheckpointDamaged}
    classes = {value for value in vars(exception).values() if isinstance(value, type)} - untyped
    assert classes == {kind for kind, _ in catalogue if kind.__module__ == exception.__name__}
    assert [kind for kind, status in catalogue if status == 500] == [exception.KarborLikeError]


def test_every_class_with_a_status_of_its_own_has_a_type(catalogue) -> None:
    typed = {kind for kind, _ in catalogue}
    assert {kind for kind, _ in errors.STATUS if issubclass(kind, exception.KarborLikeError)} <= typed


def descendants(kind: type[exception.KarborLikeError]) -> set[type[exception.KarborLikeError]]:
    return {kind}.union(*(descendants(child) for child in kind.__subclasses__()))


def test_a_type_survives_the_bus(catalogue) -> None:
    assert {kind.__module__ for kind, _ in catalogue} <= {exception.__name__, *_OWN}
    # A service sends an error of a family, such as that of the bank, as the nearest class of the error tree.
    for kind in descendants(exception.KarborLikeError):
        if kind.__module__ not in _OWN:
            sent = next(ancestor for ancestor in kind.__mro__ if ancestor.__module__ == exception.__name__)
            assert issubclass(sent, exception.KarborLikeError)
            assert kind.type == sent.type, kind


def test_the_reference_has_every_type(catalogue) -> None:
    types = [kind.type for kind, _ in catalogue]
    content = openapi.document()["components"]["schemas"]["Error"]["additionalProperties"]
    assert content["properties"]["type"]["enum"] == types
    assert ".. error-reference::" in (ROOT / "doc" / "source" / "api" / "errors.rst").read_text()
    assert [kind.__name__ for kind, _ in catalogue if "type" in vars(kind) and not kind.__doc__] == []
