"""Parsing of JSON bodies. Every body costs a bounded amount of time.

A body is refused before it is compared with a schema if it has more values than any request needs, or a value that a database
cannot store.
"""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

from karbor_like import exception
from karbor_like.api import errors, validation

#: Objects, arrays, texts, numbers and literals in a body. A plan of a thousand resources has about 4,000.
MAX_VALUES: Final = 5_000
_MAX_DEPTH: Final = 64
_MAX_INTEGER: Final = 2**63 - 1
#: Digits of the longest integer that is converted; longer ones are out of range anyway.
_MAX_DIGITS: Final = 400
_MAX_SHOWN: Final = 64


def parse(raw: bytes, content_type: str) -> Any:
    """Return the JSON value of a body.

    :raises WrongMediaType: it is not declared as JSON
    :raises MalformedRequest: it is not JSON, repeats a name in an object, or is too deep or too large
    :raises InvalidRequest: a value cannot be stored in a database
    """
    if content_type != "application/json":
        raise errors.WrongMediaType(
            f"Content-Type is {content_type[:_MAX_SHOWN]!r}; send the body as 'application/json'"
            if raw
            else "the request has no body; send JSON with Content-Type 'application/json'"
        )
    if not raw.strip():
        raise exception.MalformedRequest("the request has no body; send a JSON object")
    try:
        # A byte order mark is ignored (RFC 8259, section 8.1). json would also guess UTF-16, and accept halves of surrogates.
        value = json.loads(
            raw.decode("utf-8-sig"),
            parse_constant=_refuse_constant,
            parse_int=_integer,
            object_pairs_hook=_object_without_repeated_names,
        )
    except UnicodeDecodeError:
        raise exception.MalformedRequest("the body is not UTF-8") from None
    except RecursionError:
        raise exception.MalformedRequest("the body is nested too deeply") from None
    except ValueError as error:
        raise exception.MalformedRequest(f"the body is not JSON: {error}") from None
    check_values(value)
    return value


def check_values(value: Any, root: str = "") -> None:
    """Refuse values that a database cannot store, at any depth, and too many values.

    :param root: prefix of the paths in messages
    """
    _Check(root).visit(value, ())


class _Check:
    def __init__(self, root: str) -> None:
        self._root = root
        self._visited = 0

    def visit(self, value: Any, path: tuple[str | int, ...]) -> None:
        self._visited += 1
        if self._visited > MAX_VALUES:
            raise exception.MalformedRequest(f"the body has more than {MAX_VALUES} values; send less in one request")
        if len(path) > _MAX_DEPTH:
            raise exception.MalformedRequest(f"the body is nested more than {_MAX_DEPTH} levels deep")
        problem = None
        if isinstance(value, str):
            problem = _text_problem(value)
        elif isinstance(value, int) and abs(value) > _MAX_INTEGER:
            problem = "is out of the range of 64-bit integers"
        elif isinstance(value, float) and not math.isfinite(value):
            problem = "is out of the range of double-precision numbers"
        elif isinstance(value, Mapping):
            for name, item in value.items():
                problem = problem or _text_problem(name)
                self.visit(item, (*path, name))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.visit(item, (*path, index))
        if problem:
            name = validation.path_text(path, self._root).encode("utf-8", "replace").decode().replace("\0", "?")
            raise errors.InvalidRequest([errors.Field(name, "type", problem)])


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON value")


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _object_without_repeated_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object. Readers differ in which of two members with one name they use (RFC 8259, section 4)."""
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError(f"an object repeats the name {_repeated(name for name, _ in pairs)}")
    return value


def _repeated(names: Iterable[str]) -> str:
    seen: set[str] = set()
    # set.add returns None: the first name that is in the set already.
    name = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    return ascii(name[:_MAX_SHOWN])


def _text_problem(text: str) -> str | None:
    if "\0" in text:
        return "contains a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains half of a surrogate pair"
    return None
