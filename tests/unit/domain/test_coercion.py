import pytest

from karbor_like.domain import coercion


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("5", "integer", 5),
        ("-5", "integer", -5),
        ("5.0", "integer", "5.0"),
        ("٣", "integer", "٣"),
        ("", "integer", ""),
        ("1" * 500, "integer", "1" * 500),
        ("True", "boolean", True),
        ("no", "boolean", False),
        ("1", "boolean", True),
        ("perhaps", "boolean", "perhaps"),
        ("5", "string", "5"),
        ("5", ["integer", "string"], "5"),
        ("5", ["integer", "null"], 5),
        (True, "boolean", True),
    ],
)
def test_texts_become_what_the_schema_wants(text, kind, value):
    found = coercion.coerce(text, {"type": kind})
    assert (found, type(found)) == (value, type(value))
