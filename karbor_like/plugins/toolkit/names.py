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


def plain(text: str) -> str:
    """Return *text* as every cloud takes it: shortened, and with a question mark for each character that some refuse."""
    return _REFUSED.sub("?", text[:MAX_LENGTH])
