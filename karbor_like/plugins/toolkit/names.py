"""Names and descriptions that tenants choose: their schema, and what remains of one that a cloud refuses."""

import re
from collections.abc import Mapping
from typing import Any, Final

#: Cinder and Glance accept no longer names and descriptions.
MAX_LENGTH: Final = 255

#: Control characters, which spoil lists and logs, and halves of surrogate pairs, which cannot be encoded.
_CONTROL: Final = "\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff"
#: Clouds whose database stores three bytes per character refuse characters beyond U+FFFF.
_REFUSED: Final = re.compile(f"[{_CONTROL}\U00010000-\U0010ffff]")

#: The schema of a name. Lines of a description may end, those of a name may not.
NAME: Final[Mapping[str, Any]] = {
    "type": "string",
    "maxLength": MAX_LENGTH,
    "pattern": f"^[^{_CONTROL}]*(?![\\s\\S])",
}
DESCRIPTION: Final[Mapping[str, Any]] = {
    "type": "string",
    "maxLength": MAX_LENGTH,
    "pattern": f"^(?:[^{_CONTROL}]|[\\t\\n\\r])*(?![\\s\\S])",
}

#: Parameters of a restore that every plugin takes which names what it restores: see :func:`restored`.
PREFIX: Final = "name_prefix"
PREFIX_PROPERTIES: Final[Mapping[str, Any]] = {
    PREFIX: {
        **NAME,
        "maxLength": 64,
        "title": "Name Prefix",
        "description": "What the names of restored resources begin with, before the names of the originals.",
        "default": None,
    },
}


def restored(parameters: Mapping[str, Any], original: str | None) -> str:
    """Return the name of a restored resource: the one that the request gives it, or else as :func:`prefixed`.

    :param parameters: of the restore
    """
    return str(parameters.get("restore_name") or prefixed(parameters, original))


def prefixed(parameters: Mapping[str, Any], original: str | None) -> str:
    """Return the name of an original after the prefix of the request. What has no name gets none.

    A name that the prefix makes too long loses its end.

    :param parameters: of the restore
    """
    prefix = parameters.get(PREFIX)
    return f"{prefix}{original}"[:MAX_LENGTH] if prefix and original else original or ""


def plain(text: str) -> str:
    """Return *text* as every cloud takes it: shortened, and with a question mark for each character that some refuse."""
    return _REFUSED.sub("?", text[:MAX_LENGTH])
