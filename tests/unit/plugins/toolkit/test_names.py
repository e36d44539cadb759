"""Names that tenants choose."""

import re
from importlib.metadata import entry_points

import jsonschema
import pytest

from karbor_like.domain.resource import POD
from karbor_like.plugins.toolkit import names


@pytest.mark.parametrize("text", ["data-1", "n" * 255, "Grüße 😀 \u2028", " "])
def test_names(text: str) -> None:
    jsonschema.validate(text, names.NAME)
    jsonschema.validate(text, names.DESCRIPTION)


@pytest.mark.parametrize("text", ["n" * 256, "a\x00", "a\x1b[31m", "a\x7f", "a\x85", "a\ud800"])
def test_neither_name_nor_description(text: str) -> None:
    for schema in (names.NAME, names.DESCRIPTION):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(text, schema)


@pytest.mark.parametrize("text", ["a\nb", "a\n", "\ta"])
def test_descriptions_have_lines(text: str) -> None:
    jsonschema.validate(text, names.DESCRIPTION)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(text, names.NAME)


@pytest.mark.parametrize(
    ("text", "plain"), [("Grüße", "Grüße"), ("😀a", "?a"), ("a\nb\x00", "a?b?"), ("n" * 300, "n" * 255)]
)
def test_plain(text: str, plain: str) -> None:
    assert names.plain(text) == plain
    assert re.search(names.NAME["pattern"], plain)


@pytest.mark.parametrize(
    ("parameters", "original", "name"),
    [
        ({}, "data", "data"),
        ({"name_prefix": "test-"}, "data", "test-data"),
        ({"name_prefix": "test-", "restore_name": "mine"}, "data", "mine"),
        ({"name_prefix": "test-"}, "", ""),
        ({"name_prefix": "test-"}, None, ""),
        ({"name_prefix": "test-"}, "n" * 255, "test-" + "n" * 250),
        ({}, "n" * 256, "n" * 256),
    ],
)
def test_names_of_restored_resources(parameters: dict[str, str], original: str | None, name: str) -> None:
    assert names.restored(parameters, original) == name


def test_every_plugin_that_names_what_it_restores_takes_a_prefix():
    plugins = {each.name: each.load() for each in entry_points(group="karbor_like.protections")}
    named = {
        (name, kind): set(schemas.restore["properties"])
        for name, plugin in plugins.items()
        for kind, schemas in plugin.schemas.items()
        # A restored pod has a new name anyway.
        if "restore_name" in schemas.restore["properties"] and kind != POD
    }
    assert len(named) >= 8
    assert [key for key, properties in named.items() if names.PREFIX not in properties] == []
