"""The operator's map from projects of another site to projects of this one, as a provider's file has it."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from karbor_like import exception

OPTION: Final = "map_project"

#: Ids of projects. Keystone's have 32 hexadecimal digits.
PROJECT_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def parse(lines: Sequence[str]) -> Mapping[str, str]:
    """Return project in the bank -> project here.

    :param lines: each ``<project in the bank>: <project here>``, where one line may name several projects of the bank,
        separated by commas
    :raises ConfigurationError: a line has another form, or contradicts another one
    """
    found: dict[str, str] = {}
    merged: set[str] = set()
    for line in lines:
        there, here = _split(line)
        if here in merged:
            raise _mistake(line, f"another line maps to {here}, too; one line must name all projects that become one")
        merged.add(here)
        for project_id in there:
            if project_id == here:
                raise _mistake(line, "maps a project to itself; a project that has the same id here needs no line")
            if project_id in found:
                raise _mistake(line, f"maps {project_id} a second time")
            found[project_id] = here
    for line in lines:
        there, _ = _split(line)
        both = sorted(merged.intersection(there))
        if both:
            raise _mistake(line, f"{both[0]} is a project of this site, because another line maps to it")
    return found


def _split(line: str) -> tuple[list[str], str]:
    left, separator, here = line.partition(":")
    there = [text.strip() for text in left.split(",")]
    here = here.strip()
    if not separator or not all(map(PROJECT_ID.fullmatch, (*there, here))):
        raise _mistake(line, "write it as <project id in the bank>: <project id here>")
    return there, here


def _mistake(line: str, said: str) -> exception.ConfigurationError:
    return exception.ConfigurationError(f"[provider] {OPTION} = {line} : {said}")
