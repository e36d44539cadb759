"""Flavor and availability zone of a restored server. Pure functions of what the target offers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: Sizes in which a flavor must not be smaller than the original.
_SIZES: Final = ("vcpus", "ram", "disk", "ephemeral", "swap")

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Choice:
    """What a restored server gets.

    :param value: id of the flavor, or name of the zone; None: none
    :param remark: how it differs from the original, or an empty text
    :param conflict: why the restore cannot succeed, or an empty text
    """

    value: str | None
    remark: str = ""
    conflict: str = ""


def flavor(
    original: Values, offered: Sequence[Values], requested: str | None, *, strict: bool, boots_from_volume: bool = False
) -> Choice:
    """Choose a flavor.

    :param original: of the description of the server
    :param offered: the flavors of the target, with ``id``, ``name`` and sizes
    :param requested: id or name
    :param strict: whether another flavor is a conflict
    :param boots_from_volume: whether the server does not use the disk of its flavor
    """
    if requested:
        found = [each for each in offered if each["id"] == requested] or [
            each for each in offered if each["name"] == requested
        ]
        if found:
            disk = 0 if boots_from_volume else int(found[0]["disk"])  # 0: as large as the image
            if disk and disk < int(original["disk"]):
                return Choice(
                    None,
                    conflict=f"flavor {requested!r} has {disk} GiB disk, and the root disk of the original has"
                    f" {original['disk']}: choose a larger one",
                )
            return Choice(found[0]["id"])
        return Choice(None, conflict=f"this cloud does not offer the flavor {requested!r}: choose another one")
    # Ids and names mean something else in another cloud.
    equal = [each for each in offered if _sizes(each) == _sizes(original)]
    for member in ("id", "name"):
        for each in equal:
            if each[member] == original[member]:
                return Choice(each["id"])
    what = f"flavor {original['name']!r} ({_words(original)})"
    needed = {**original, "disk": 0} if boots_from_volume else original
    enough = [each for each in offered if all(a >= b for a, b in zip(_sizes(each), _sizes(needed), strict=True))]
    if not enough or strict:
        advice = "choose one with the parameter 'flavor'" + ("" if strict else ": none is as large")
        return Choice(None, conflict=f"this cloud does not offer the {what}; {advice}")
    nearest = min(enough, key=lambda each: (*_sizes(each), each["id"]))
    remark = (
        f"the original had the {what}, which this cloud does not offer; the restored server has {nearest['name']!r}"
    )
    return Choice(nearest["id"], remark=f"{remark} ({_words(nearest)})")


def zone(original: str | None, offered: Sequence[str], requested: str | None, *, strict: bool) -> Choice:
    """Choose an availability zone.

    :param original: the zone to which the server was pinned, None if it was not
    :param offered: names of the zones of the target
    :param strict: whether another zone than the original is a conflict
    """
    wanted = requested or original
    if wanted is None or wanted in offered:
        return Choice(wanted)
    missing = f"this cloud does not offer the availability zone {wanted!r}"
    if requested or strict:
        return Choice(None, conflict=f"{missing}; choose one with the parameter 'availability_zone'")
    return Choice(None, remark=f"{missing}, to which the original was pinned; the restored server is not pinned")


def _sizes(values: Values) -> tuple[int, ...]:
    return tuple(int(values.get(name) or 0) for name in _SIZES)


def _words(values: Values) -> str:
    return f"{values['vcpus']} VCPUs, {values['ram']} MiB RAM, {values['disk']} GiB disk"
