"""What a cloud said about a failure, in one line of text.

The exceptions of client libraries contain it in many forms: their text, the body of the response (JSON of any shape, JSON in
JSON, HTML of a service or a proxy), or exceptions of other libraries in several layers.
"""

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from html.parser import HTMLParser
from http import HTTPStatus
from typing import Any, Final

#: Maximum length of what the cloud said, in characters.
MAX_LENGTH: Final = 1000

#: The beginning of a body that is searched, in characters. Messages are near it.
_SEARCHED: Final = 16 * 1024

#: How deeply JSON and exceptions are searched.
_DEPTH: Final = 8

#: Members of a JSON object that may contain the message, the most telling first.
_MEMBERS: Final = ("message", "error", "errors", "faultstring", "detail", "details", "reason", "explanation", "title")

#: Texts that libraries use if they found no message.
_EMPTY: Final = frozenset({"", "n/a", "none", "unknown error", "unrecognized schema in response body."})

_REQUEST_ID: Final = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_REQUEST_ID_END: Final = re.compile(r" \(Request-ID: [\w.:-]{1,100}\)", re.ASCII)
_REQUEST_ID_HEADERS: Final = ("x-openstack-request-id", "x-compute-request-id")

#: What libraries put before the message.
_STATUS_BEFORE: Final = re.compile(r"ERROR: |HTTP (?=\d{3}\b)")

#: Objects and pools in texts of urllib3.
_OBJECT: Final = re.compile(r"<[\w.]+ object at 0x[0-9a-f]+>: |HTTPS?ConnectionPool\([^)]*\): ")
_CAUSED: Final = re.compile(r"(?P<what>[^:]+ \w+://\S+?): .*", re.DOTALL)
#: The text of an exception with several arguments.
_TUPLE: Final = re.compile(r"\(['\"].*['\"], .*\)", re.DOTALL)


def describe(error: BaseException, status: int | None, response: Any = None) -> str:
    """Return what the cloud said, at most MAX_LENGTH characters, followed by the status and the id of the request.

    :param error: an exception of a client library
    :param status: the HTTP status of the response, if there was one
    :param response: the response, if *error* does not have it
    """
    response = getattr(error, "response", None) if response is None else response
    request_id = _request_id(error, response)
    ends = [f"(HTTP {status})"] if status is not None else []
    ends += [f"(Request-ID: {request_id})"] if request_id else []
    said = _clean(_from_network(error) if status is None else _from_response(error, status, response, ends))
    if len(said) > MAX_LENGTH:
        said = f"{said[: MAX_LENGTH - 1]}…"
    return " ".join([said or type(error).__name__, *ends])


def without_request_id(text: str) -> str:
    """Return a text with descriptions, without the ids of the requests: the reasons of several requests may then be equal."""
    return _REQUEST_ID_END.sub("", text)


def _from_response(error: BaseException, status: int, response: Any, ends: Sequence[str]) -> str:
    phrase = _phrase(status)
    empty = {*_EMPTY, phrase.lower(), str(getattr(type(error), "message", "")).lower()}
    for candidate in _candidates(error, response):
        said = _without_status(_extract(candidate), status, phrase, ends)
        if said.lower() not in empty:
            return said
    return phrase


def _candidates(error: BaseException, response: Any) -> Iterator[Any]:
    """Yield what may contain the message, the most specific first."""
    for name in ("message", "details"):
        yield getattr(error, name, None)
    # A response that was not read completely is not read now: it may be an image.
    if getattr(response, "_content_consumed", False):
        yield response.text


def _extract(value: Any, depth: int = _DEPTH) -> str:
    """Return the message in *value*: a text, which may be JSON or HTML, or a part of JSON."""
    if isinstance(value, bytes):
        value = value[:_SEARCHED].decode(errors="replace")
    if isinstance(value, str):
        return _from_text(value[:_SEARCHED].strip(), depth)
    if not depth:
        return ""
    if isinstance(value, Mapping):
        members = [value[name] for name in _MEMBERS if name in value] or list(value.values())
        return next(filter(None, (_extract(member, depth - 1) for member in members)), "")
    if isinstance(value, list):
        return "; ".join(dict.fromkeys(filter(None, (_extract(item, depth - 1) for item in value[:10]))))
    return ""


def _from_text(text: str, depth: int) -> str:
    if depth and text.startswith(("{", "[")):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return _extract(found, depth - 1)
    if re.search(r"<(?:!doctype|html|head|body|h1|br)\b", text, re.IGNORECASE):
        page = _Page()
        page.feed(text)
        page.close()
        return ": ".join(dict.fromkeys(page.texts))
    # Glance's library removes the tags of a page only.
    return html.unescape(text) if re.search(r"&(?:#x?[0-9a-f]+|quot|amp|lt|gt);", text) else text


class _Page(HTMLParser):
    """The visible texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "script") and self._hidden > 0

    def handle_data(self, data: str) -> None:
        if not self._hidden and (text := " ".join(data.split())):
            self.texts.append(text)


def _without_status(text: str, status: int, phrase: str, ends: Sequence[str]) -> str:
    """Remove the status, which *text* may state several times, from its beginning, and *ends* from its end."""
    before = None
    while before != text:
        before = text
        for end in ends:
            text = text.removesuffix(end).strip()
        if match := _STATUS_BEFORE.match(text):
            text = text[match.end() :]
        if phrase and (match := re.match(rf"{status} {re.escape(phrase)}(?:\s*[:.]\s*|\s*$|(?=\S))", text)):
            text = text[match.end() :]
    return text


def _from_network(error: BaseException) -> str:
    """Return why no response arrived: what the library tried, and what the operating system or TLS answered."""
    chain = list(_layers(error))
    for layer in chain:
        reason = getattr(layer, "verify_message", None) or getattr(layer, "strerror", None)
        if isinstance(layer, OSError) and isinstance(reason, str) and reason:
            match = _CAUSED.match(str(error))
            return f"{match['what']}: {reason}" if match else reason
    text = _OBJECT.sub("", _extract(str(error)))
    for layer in chain:
        match layer.args:
            case (str(what), BaseException() as why):
                return _TUPLE.sub(lambda match: what if str(why) in what else f"{what} {why}", text)
    return text


def _layers(error: BaseException, depth: int = _DEPTH) -> Iterator[BaseException]:
    """Yield *error*, and the exceptions that it contains or was raised from, outside in."""
    yield error
    if not depth:
        return
    inner = [arg for arg in (*error.args, getattr(error, "reason", None)) if isinstance(arg, BaseException)]
    inner += [other for other in (error.__cause__ or error.__context__,) if other is not None]
    for layer in inner:
        yield from _layers(layer, depth - 1)


def _request_id(error: BaseException, response: Any) -> str | None:
    headers = getattr(response, "headers", None) or {}
    ids = [getattr(error, "request_id", None), *(headers.get(name) for name in _REQUEST_ID_HEADERS)]
    return next((each for each in ids if isinstance(each, str) and _REQUEST_ID.fullmatch(each)), None)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _clean(text: str) -> str:
    """Return *text* in one line, without control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
