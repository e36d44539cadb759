"""Keys of objects in a bank: the only module that builds, checks and parses them.

``doc/source/contributor/bank-format.rst`` lists all keys. Ids and names that come from outside are *quoted* into one segment
(:func:`quote`). Ids that the bank generates (packs, data keys, attempts) are hexadecimal.
"""

import functools
import re
from dataclasses import dataclass
from typing import Final

from karbor_like.bank import errors

MAX_KEY_LENGTH: Final = 900

_SEGMENT_FORM = r"[A-Za-z0-9_@=:,+-][A-Za-z0-9_.@=:,+-]{0,254}"
_SEGMENT = re.compile(_SEGMENT_FORM)
_KEY = re.compile(rf"{_SEGMENT_FORM}(?:/{_SEGMENT_FORM})*")


def check_key(key: str) -> str:
    """Return *key* if it is valid.

    A key has segments of ``[A-Za-z0-9_.@=:,+-]`` joined by ``/``. No segment is empty, starts with a dot, or is longer than
    255 characters, the limit of file names. A key has at most 900 characters.

    :raises InvalidKey: it is not valid
    """
    if len(key) > MAX_KEY_LENGTH or not _KEY.fullmatch(key):
        raise errors.InvalidKey(f"{key[:200]!r} is not a valid key of a bank")
    return key


_QUOTED = re.compile(rb"^\.|[^A-Za-z0-9_.:-]")
_ESCAPE = re.compile(r"=([0-9A-F]{2})")
#: The form of the id of a pack, a data key or an attempt.
HEX_ID: Final = re.compile(r"[0-9a-f]{32}")


@functools.lru_cache(maxsize=4096)
def quote(text: str) -> str:
    """Quote *text* as one segment of a key: bytes outside ``[A-Za-z0-9_.:-]``, and a leading dot, become ``=XX``. Reversible.

    :raises InvalidKey: the text is empty, or its segment would be too long
    """
    quoted = _QUOTED.sub(lambda match: b"=%02X" % match[0][0], text.encode("utf-8", "surrogatepass")).decode("ascii")
    if not _SEGMENT.fullmatch(quoted):
        raise errors.InvalidKey(f"{text[:200]!r} cannot be part of a key: it is empty or too long")
    return quoted


@functools.lru_cache(maxsize=4096)
def unquote(segment: str) -> str:
    """Return the text that :func:`quote` turned into *segment*. Raises InvalidKey for any other segment."""
    raw = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), segment).encode("latin-1", "replace")
    try:
        text = raw.decode("utf-8", "surrogatepass")
        if quote(text) == segment:
            return text
    except UnicodeDecodeError:
        pass
    raise errors.InvalidKey(f"{segment[:200]!r} is not a quoted name")


# Leases, lists of the collector, and checkpoints. Numbers in keys have a fixed width, so that keys sort in their order.

LEASES: Final = "leases/"
QUARANTINE: Final = "quarantine/"
REFRESH: Final = "refresh/"
CHECKPOINTS: Final = "checkpoints/"
INDICES: Final = "indices/"
DATA: Final = "data/"
RESERVE: Final = "reserve/"


def lease_key(lease_id: str, seq: int) -> str:
    """Build the key of the *seq*-th object of a lease: 0 when it is acquired, one more for every renewal."""
    return check_key(f"{LEASES}{lease_id}/{seq:08d}")


def parse_lease_key(key: str) -> tuple[str, int]:
    """Return the id of the lease and the number of the object. Raises InvalidKey."""
    match = re.fullmatch(r"leases/([^/]+)/(\d{8})", key)
    if match is None:
        raise errors.InvalidKey(f"{key!r} is not the key of a lease")
    return match[1], int(match[2])


def collector_prefix(root: str, project_id: str) -> str:
    """Build the prefix of the collector's lists for one project. *root* is QUARANTINE or REFRESH."""
    return f"{root}{quote(project_id)}/"


def collector_key(root: str, project_id: str, list_id: str) -> str:
    """Build the key of one list of the collector. *root* is QUARANTINE or REFRESH."""
    return check_key(f"{collector_prefix(root, project_id)}{list_id}.json")


def reserve_key(number: int) -> str:
    """Build the key of the *number*-th object of the reserve: see :mod:`karbor_like.bank.objectstore.reserve`."""
    return f"{RESERVE}{number:02d}"


def checkpoint_prefix(checkpoint_id: str) -> str:
    """Build the prefix of everything of one checkpoint except for its packs and index keys."""
    return f"{CHECKPOINTS}{quote(checkpoint_id)}/"


def plan_key(checkpoint_id: str) -> str:
    """Build the key of the plan of a checkpoint: written first, deleted last."""
    return checkpoint_prefix(checkpoint_id) + "plan.json"


def tombstone_key(checkpoint_id: str) -> str:
    """Build the key of the tombstone of a checkpoint. A deletion puts it first; the collector removes it last."""
    return checkpoint_prefix(checkpoint_id) + "deleted"


def events_prefix(checkpoint_id: str) -> str:
    """Build the prefix of the events of a checkpoint."""
    return checkpoint_prefix(checkpoint_id) + "events/"


def event_key(checkpoint_id: str, seq: int, unique: str, name: str) -> str:
    """Build the key of an event.

    :param seq: grows from event to event of a checkpoint: microseconds since 1970, or one more than the last
    :param unique: eight random hexadecimal digits, so that two concurrent writers do not write the same object
    """
    return check_key(f"{events_prefix(checkpoint_id)}{seq:016d}.{unique}-{name}.json")


def parse_event_key(key: str) -> tuple[int, str]:
    """Return the number and the name of an event. Raises InvalidKey."""
    match = re.fullmatch(r"checkpoints/[^/]+/events/([0-9]{16})\.[0-9a-f]{8}-([a-z_-]+)\.json", key)
    if match is None:
        raise errors.InvalidKey(f"{key!r} is not the key of an event")
    return int(match[1]), match[2]


def writer_key(checkpoint_id: str, number: int) -> str:
    """Build the key of the *number*-th claim (from 0) on a checkpoint: see :mod:`karbor_like.bank.checkpoints.claims`."""
    return f"{checkpoint_prefix(checkpoint_id)}writers/{number:06d}"


def resources_prefix(checkpoint_id: str) -> str:
    """Build the prefix of the documents and manifests of all resources of one checkpoint."""
    return checkpoint_prefix(checkpoint_id) + "resources/"


# Index keys: empty objects, whose keys hold all that a listing returns.

NEWEST: Final = "newest"
OLDEST: Final = "oldest"
_LAST_MICROSECOND: Final = 10**16 - 1


@dataclass(frozen=True)
class IndexName:
    """The content of the last segment of an index key.

    :param micros: when the checkpoint was created, microseconds since 1970
    """

    micros: int
    provider_id: str
    project_id: str
    plan_id: str
    checkpoint_id: str


def index_prefix(root: str, value: str | None, order: str) -> str:
    """Build the prefix of the keys of one index.

    :param root: ``by-date`` (all checkpoints, without *value*), ``by-provider``, ``by-project`` or ``by-plan``
    :param order: NEWEST or OLDEST, the one that comes first
    """
    return f"{INDICES}{root}/{order}/" if value is None else f"{INDICES}{root}/{quote(value)}/{order}/"


def index_marker(prefix: str, order: str, micros: int) -> str:
    """Build the marker between the keys below *prefix* that sort before the time *micros* and all others."""
    return f"{prefix}{_index_time(order, micros)}"


def index_keys(name: IndexName) -> list[str]:
    """Build all index keys of one checkpoint."""
    roots = (
        ("by-date", None),
        ("by-provider", name.provider_id),
        ("by-project", name.project_id),
        ("by-plan", name.plan_id),
    )
    return [
        index_key(index_prefix(root, value, order), order, name) for root, value in roots for order in (NEWEST, OLDEST)
    ]


def index_key(prefix: str, order: str, name: IndexName) -> str:
    """Build the key of *name* below *prefix*."""
    ids = ",".join(map(quote, (name.provider_id, name.project_id, name.plan_id)))
    return check_key(f"{prefix}{_index_time(order, name.micros)},{ids}@{quote(name.checkpoint_id)}")


# As many segments as the root has: a listing continues after the key that index_key builds from the result.
_INDEX_KEY = re.compile(
    r"indices/(?:by-date|by-(?:provider|project|plan)/[^/]+)/(newest|oldest)/"
    r"([0-9]{16}),([^/,@]+),([^/,@]+),([^/,@]+)@([^/,@]+)"
)


def parse_index_key(key: str) -> IndexName:
    """Parse an index key. Raises InvalidKey."""
    match = _INDEX_KEY.fullmatch(key)
    if match is None:
        raise errors.InvalidKey(f"{key[:200]!r} is not the key of an index")
    micros = int(match[2]) if match[1] == OLDEST else _LAST_MICROSECOND - int(match[2])
    return IndexName(micros, *(unquote(match[group]) for group in (3, 4, 5, 6)))


def _index_time(order: str, micros: int) -> str:
    return f"{micros if order == OLDEST else _LAST_MICROSECOND - micros:016d}"


def parse_owner(key: str) -> str:
    """Return the project or checkpoint that the second segment of *key* names. Raises InvalidKey."""
    return unquote(key.partition("/")[2].partition("/")[0])


# Packs and keys of projects.


def packs_prefix(project_id: str) -> str:
    """Build the prefix of all packs of a project."""
    return f"{DATA}{quote(project_id)}/packs/"


def pack_key(project_id: str, pack_id: str) -> str:
    """Build the key of a pack. *pack_id*: 32 lower-case hexadecimal digits."""
    if not HEX_ID.fullmatch(pack_id):
        raise errors.InvalidKey(f"{pack_id[:200]!r} is not the id of a pack")
    return packs_prefix(project_id) + pack_id


def parse_pack_key(key: str) -> tuple[str, str]:
    """Return project and pack id. Raises InvalidKey for any other key."""
    parts = key.split("/")
    if len(parts) == 4 and parts[0] == "data" and parts[2] == "packs" and HEX_ID.fullmatch(parts[3]):
        return unquote(parts[1]), parts[3]
    raise errors.InvalidKey(f"{key[:200]!r} is not the key of a pack")


def wrapped_keys_prefix(project_id: str | None = None) -> str:
    """Build the prefix of all wrapped data keys, of one project or of all."""
    return "keys/" if project_id is None else f"keys/{quote(project_id)}/"


def data_key_prefix(project_id: str, data_key_id: str) -> str:
    """Build the prefix of all wrappings of a data key (32 hexadecimal digits)."""
    return f"{wrapped_keys_prefix(project_id)}{data_key_id}/"


def wrapped_key(project_id: str, data_key_id: str, master_id: str) -> str:
    """Build the key of a data key as wrapped by the master key *master_id*."""
    return check_key(data_key_prefix(project_id, data_key_id) + quote(master_id))


def parse_wrapped_key(key: str) -> tuple[str, str, str]:
    """Return project, id of the data key and id of the master key. Raises InvalidKey."""
    parts = key.split("/")
    if len(parts) == 4 and parts[0] == "keys" and HEX_ID.fullmatch(parts[2]):
        return unquote(parts[1]), parts[2], unquote(parts[3])
    raise errors.InvalidKey(f"{key[:200]!r} is not the key of a wrapped data key")


# Documents and streams that plugins store in a checkpoint.


def resource_prefix(checkpoint_id: str, resource_key: str) -> str:
    """Build the prefix of one resource's part of a checkpoint."""
    return f"{resources_prefix(checkpoint_id)}{quote(resource_key)}/"


def document_prefix(checkpoint_id: str, resource_key: str, name: str) -> str:
    """Build the prefix of all versions of a document; :func:`attempt_key` numbers them."""
    return f"{resource_prefix(checkpoint_id, resource_key)}documents/{quote(name)}/"


def manifest_prefix(checkpoint_id: str, resource_key: str, name: str) -> str:
    """Build the prefix of the manifest heads of all versions of a stream; :func:`attempt_key` numbers them."""
    return f"{resource_prefix(checkpoint_id, resource_key)}manifests/{quote(name)}/"


def segment_key(checkpoint_id: str, resource_key: str, name: str, attempt_id: str, index: int) -> str:
    """Build the key of the *index*-th segment of the manifest that *attempt_id* (32 hexadecimal digits) wrote."""
    return f"{segments_prefix(checkpoint_id, resource_key, name, attempt_id)}{index:08d}"


def segments_prefix(checkpoint_id: str, resource_key: str, name: str, attempt_id: str) -> str:
    """Build the prefix of the keys of all segments of one manifest."""
    return f"{resource_prefix(checkpoint_id, resource_key)}segments/{quote(name)}/{attempt_id}/"


def attempt_key(prefix: str, lease_id: str, number: int) -> str:
    """Build the key of the *number*-th version (from 0) that one lease wrote of the name *prefix*.

    :class:`karbor_like.bank.checkpoints.versions.ObjectVersions` chooses the valid version.
    """
    return f"{prefix}{lease_id}-{number:03d}"


def attempt_number(key: str) -> int:
    """Return the number in *key*, which :func:`attempt_key` built."""
    return int(key.rpartition("-")[2])


def name_prefix(key: str) -> str:
    """Return the prefix of the name of which *key*, built by :func:`attempt_key`, is a version."""
    return key.rpartition("/")[0] + "/"


@dataclass(frozen=True)
class ResourceObject:
    """The parts of the key of an object of a resource.

    :param kind: ``documents``, ``manifests`` or ``segments``
    :param name: of the document or stream
    :param rest: lease and number of the version; for segments attempt id and index
    """

    checkpoint_id: str
    resource_key: str
    kind: str
    name: str
    rest: str


_RESOURCE_KEY = re.compile(
    r"checkpoints/([^/]+)/resources/([^/]+)/"
    r"(?:(documents|manifests)/([^/]+)/([0-9a-f]{32}-[0-9]{3})|(segments)/([^/]+)/([0-9a-f]{32}/[0-9]{8}))"
)


def parse_resource_key(key: str) -> ResourceObject:
    """Parse the key of an object below :func:`resources_prefix`. Raises InvalidKey for any other key."""
    match = _RESOURCE_KEY.fullmatch(key)
    if match is None:
        raise errors.InvalidKey(f"{key[:200]!r} is not the key of an object of a resource")
    checkpoint, resource = match[1], match[2]
    kind, name, rest = match.group(3, 4, 5) if match[3] else match.group(6, 7, 8)
    return ResourceObject(unquote(checkpoint), unquote(resource), kind, unquote(name), rest)


def kind_of(key: str) -> str | None:
    """Return ``documents``, ``manifests`` or ``segments``; None if *key* is not the key of an object of a resource."""
    # Most keys of which the collector asks this are of no resource.
    if not _RESOURCE_KEY.fullmatch(key):
        return None
    try:
        return parse_resource_key(key).kind
    except errors.InvalidKey:
        return None
