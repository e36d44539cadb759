"""Comparison of what several sources say about the same bytes.

A cloud may be wrong about them: a driver that copies only a part of a volume still reports success. Every size, count and
hash that two sources know is therefore compared before the result of an operation counts as complete.
"""

from collections.abc import Mapping
from typing import Any

from karbor_like import exception


def require_equal(
    what: str,
    values: Mapping[str, Any],
    advice: str = "",
    *,
    kind: type[exception.ResourceFailed] = exception.ResourceFailed,
) -> None:
    """Check that all sources agree.

    :param what: what they state, with its unit, such as "size in bytes of volume X"
    :param values: what each source states, by the name of the source
    :param advice: what the reader can do about a difference, a sentence
    :param kind: the class of the error, such as CheckpointDamaged for what was stored

    Raises an error of that class, which names all sources with their values.
    """
    if len(set(values.values())) > 1:
        stated = ", ".join(f"{source}: {value}" for source, value in values.items())
        raise kind(f"the {what} differs: {stated}" + (f". {advice}" if advice else ""))
