"""Flavor and zone of restored servers."""

from typing import Any

import pytest

from karbor_like.plugins.nova import placement

SMALL = {"id": "2", "name": "m1.small", "vcpus": 1, "ram": 2048, "disk": 20, "ephemeral": None, "swap": ""}
LARGE = {"id": "4", "name": "m1.large", "vcpus": 4, "ram": 8192, "disk": 80, "ephemeral": 0, "swap": 0}
HUGE = {"id": "5", "name": "m1.huge", "vcpus": 8, "ram": 16384, "disk": 160, "ephemeral": 0, "swap": 0}
DISKLESS = {"id": "6", "name": "diskless", "vcpus": 2, "ram": 4096, "disk": 0, "ephemeral": 0, "swap": 0}
ORIGINAL = {**SMALL, "ephemeral": 0, "swap": 0}


def flavor(*offered: dict[str, Any], requested: str | None = None, **how: Any) -> placement.Choice:
    return placement.flavor(how.pop("original", ORIGINAL), offered, requested, strict=how.pop("strict", False), **how)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ([LARGE, SMALL], "2"),
        ([{**SMALL, "id": "another"}], "another"),
        # The id is that of the original by chance.
        ([{**LARGE, "id": "2"}, {**SMALL, "id": "mine"}], "mine"),
    ],
)
def test_flavor_of_the_original(offered: list[dict[str, Any]], chosen: str) -> None:
    assert flavor(*offered) == placement.Choice(chosen)


@pytest.mark.parametrize("wanted", ["4", "m1.large"])
def test_requested_flavor(wanted: str) -> None:
    assert flavor(SMALL, LARGE, requested=wanted) == placement.Choice("4")


def test_nearest_flavor() -> None:
    chosen = flavor(HUGE, DISKLESS, LARGE)
    assert chosen.value == "4"
    assert chosen.remark == (
        "the original had the flavor 'm1.small' (1 VCPUs, 2048 MiB RAM, 20 GiB disk), which this cloud does not offer; the"
        " restored server has 'm1.large' (4 VCPUs, 8192 MiB RAM, 80 GiB disk)"
    )
    assert flavor(HUGE, DISKLESS, LARGE, boots_from_volume=True).value == "6"


@pytest.mark.parametrize(
    ("offered", "how", "conflict"),
    [
        ([LARGE], {"strict": True}, "choose one with the parameter 'flavor'"),
        ([DISKLESS], {}, "none is as large"),
        ([SMALL], {"original": {**ORIGINAL, "swap": 512}}, "none is as large"),
        ([SMALL], {"requested": "moon"}, "does not offer the flavor 'moon'"),
        (
            [{**SMALL, "disk": 19}],
            {"requested": SMALL["id"]},
            "has 19 GiB disk, and the root disk of the original has 20",
        ),
    ],
)
def test_no_flavor(offered: list[dict[str, Any]], how: dict[str, Any], conflict: str) -> None:
    chosen = flavor(*offered, **how)
    assert chosen.value is None
    assert conflict in chosen.conflict


@pytest.mark.parametrize(
    ("original", "requested", "strict", "expected"),
    [
        ("east", None, False, ("east", False, False)),
        ("east", "west", False, ("west", False, False)),
        (None, None, True, (None, False, False)),
        ("moon", None, False, (None, True, False)),
        ("moon", None, True, (None, False, True)),
        ("east", "moon", False, (None, False, True)),
    ],
)
def test_zone(
    original: str | None, requested: str | None, strict: bool, expected: tuple[str | None, bool, bool]
) -> None:
    chosen = placement.zone(original, ["east", "west"], requested, strict=strict)
    assert (chosen.value, bool(chosen.remark), bool(chosen.conflict)) == expected
