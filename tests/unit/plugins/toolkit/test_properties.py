"""The rules for properties, and the page that shows them."""

import re
from pathlib import Path

import pytest

from karbor_like.plugins.toolkit import properties
from karbor_like.plugins.toolkit.properties import Effect, Rule

PAGE = Path(__file__).parents[4] / "doc" / "source" / "user" / "properties.rst"
WORDS = {Effect.KEPT: "restored", Effect.DROPPED: "not restored", Effect.OWN: "set by the service"}
TABLES = [properties.IMAGE, properties.VOLUME_METADATA, properties.SHARE_METADATA]


@pytest.mark.parametrize(("number", "rules"), list(enumerate(TABLES)), ids=["image", "volume", "share"])
def test_page_shows_all_rules(number: int, rules: tuple[Rule, ...]) -> None:
    table = PAGE.read_text().split(".. list-table::")[number + 1]
    rows = re.findall(r"^   \* - ``(.+)``\n     - (.+)\n     - (.+)$", table, re.MULTILINE)
    assert rows == [(rule.name, WORDS[rule.effect], rule.reason) for rule in rules]


@pytest.mark.parametrize("rules", TABLES, ids=["image", "volume", "share"])
def test_a_property_has_one_rule(rules: tuple[Rule, ...]) -> None:
    for rule in rules:
        assert [other for other in rules if other.applies(rule.name)] == [rule]


def test_effects() -> None:
    rules = (
        Rule("key", Effect.DROPPED, "it is a key"),
        Rule("key_policy", Effect.DROPPED, "it is a key"),
        Rule("os_glance*", Effect.OWN, "Glance sets it"),
        Rule("kernel_id", Effect.KEPT, "it is only read"),
    )
    image = {"key": "1", "key_policy": "2", "os_glance_stage": "3", "kernel_id": "4", "os_distro": "debian"}
    recorded = properties.recorded(image, rules)
    assert recorded == {name: value for name, value in image.items() if name != "os_glance_stage"}
    assert properties.restored(recorded, rules) == {"kernel_id": "4", "os_distro": "debian"}
    assert properties.remarks(recorded, rules, "property") == ["property key, key_policy was not restored: it is a key"]
    assert properties.remarks({"os_distro": "debian"}, rules, "property") == []


@pytest.mark.parametrize(
    "name",
    ["cinder_encryption_key_id", "cinder_encryption_key_deletion_policy", "block_device_mapping", "backup_type"],
)
def test_power_over_objects_of_the_original_is_not_restored(name: str) -> None:
    assert properties.restored({name: "x"}, properties.IMAGE) == {}
    assert properties.restored({name: "x"}, properties.IMAGE_PROPERTIES) == {}
