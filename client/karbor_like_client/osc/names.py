"""Names or ids in arguments: both are accepted everywhere."""

import contextlib
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from openstack import exceptions as sdk
from osc_lib import exceptions

from karbor_like_client.v1.proxy import Proxy

_PROJECT_ID = re.compile("[0-9a-f]{32}")


def is_id(text: str) -> bool:
    """Return whether *text* is an id: a UUID in any form."""
    with contextlib.suppress(ValueError):
        uuid.UUID(text)
        return True
    return False


def resolve(client: Proxy, noun: str, text: str) -> str:
    """Return the id of the object with the name or id *text*.

    :param noun: of a method ``find_<noun>``
    :raises CommandError: there is none
    :raises openstack.exceptions.DuplicateResource: several have the name
    """
    if is_id(text):
        return text
    found = getattr(client, f"find_{noun}")(text)
    if found is None:
        words = noun.replace("_", " ")
        command = f"openstack data protection {noun.replace('_', '')} list"
        raise exceptions.CommandError(f"there is no {words} {text!r}: '{command}' shows the existing ones")
    return str(found.id)


def project(connection: Any, text: str) -> str:
    """Return the id of a project. Users who may not see projects must give the id."""
    if is_id(text) or _PROJECT_ID.fullmatch(text):
        return text
    try:
        return str(connection.identity.find_project(text, ignore_missing=False).id)
    except sdk.ForbiddenException as error:
        raise exceptions.CommandError(f"you may not look up the project {text!r}: use its id") from error


def resource_key(nodes: Iterable[tuple[str, str, str]], text: str) -> str:
    """Return the ``Type#id`` of a resource in a checkpoint.

    :param nodes: type, id and name of all of them
    :param text: ``Type#id``, an id or a name
    :raises CommandError: there is none, or several have the name
    """
    if "#" in text:
        return text
    matching = sorted({f"{kind}#{id_}" for kind, id_, name in nodes if text in (id_, name)})
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise exceptions.CommandError(f"{text!r} is the name of {len(matching)} resources: use one of {matching}")
    known = sorted({f"{kind}#{id_} ({name})" for kind, id_, name in nodes})
    raise exceptions.CommandError(f"the checkpoint has no resource {text!r}: it has {', '.join(known) or 'none'}")


def graph_nodes(graph: Any) -> list[tuple[str, str, str]]:
    """Return type, id and name of the resources in the graph of a checkpoint."""
    nodes: Mapping[str, Any] = graph[0] if graph else {}
    return [(node[0], node[1], node[2] or "") for node in nodes.values()]
