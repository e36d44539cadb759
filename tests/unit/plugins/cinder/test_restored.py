"""The placement of restored volumes."""

from typing import Any

import pytest

from karbor_like.plugins.cinder import restored

OFFERED = {"volume_type": {"id-1": "fast", "id-2": "slow"}, "availability_zone": {"east": "east"}}
MISSING = "this cloud does not offer the volume type 'gold'; it offers fast, slow: choose with 'volume_type'"


@pytest.mark.parametrize(
    ("given", "original", "strict", "arguments", "reasons"),
    [
        ({}, {"volume_type": "fast", "availability_zone": None}, True, {"volume_type": "fast"}, []),
        ({"volume_type": "slow"}, {"volume_type": "gold"}, True, {"volume_type": "slow"}, []),
        ({"volume_type": "id-2"}, {"volume_type": "fast"}, False, {"volume_type": "slow"}, []),
        ({}, {"volume_type": "gold", "availability_zone": "east"}, False, {"availability_zone": "east"}, []),
        ({}, {"volume_type": "gold"}, True, {}, [MISSING]),
        ({"volume_type": "gold"}, {}, False, {}, [MISSING]),
        # An original is known by its name.
        ({}, {"volume_type": "id-1"}, False, {}, []),
    ],
)
def test_placement(
    given: dict[str, str], original: dict[str, Any], strict: bool, arguments: dict[str, str], reasons: list[str]
) -> None:
    assert restored.choose(OFFERED, given, original, strict=strict) == (arguments, reasons)


def test_a_message_does_not_list_everything() -> None:
    offered = {"volume_type": {str(n): f"type-{n:03}" for n in range(500)}, "availability_zone": {}}
    wanted = {"volume_type": "gold", "availability_zone": "moon"}
    (many, none) = restored.choose(offered, wanted, {})[1]
    assert "type-009 and 490 more: choose" in many
    assert "it offers none" in none
