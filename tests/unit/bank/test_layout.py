import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor_like.bank import errors, layout

texts = st.text(min_size=1, max_size=20)
hex_ids = st.binary(min_size=16, max_size=16).map(bytes.hex)


@given(texts)
def test_quote_is_reversible_and_makes_one_segment(text):
    segment = layout.quote(text)
    assert "/" not in segment
    assert layout.check_key(segment) == segment
    assert layout.unquote(segment) == text


@given(texts, texts)
def test_quote_keeps_different_texts_apart(one, other):
    assert (layout.quote(one) == layout.quote(other)) == (one == other)


@pytest.mark.parametrize("text", ["", "x" * 256, "é" * 100])
def test_quote_refuses_what_makes_no_segment(text):
    with pytest.raises(errors.InvalidKey):
        layout.quote(text)


@pytest.mark.parametrize("segment", ["", "=", "=4", "=41", "=zz", "=2f", "a/b", ".hidden", "=FF", "é", "a\n"])
def test_unquote_refuses_what_quote_does_not_make(segment):
    with pytest.raises(errors.InvalidKey):
        layout.unquote(segment)


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "a/../b", "./a", "a/.b", "a\n", "a b", "a" * 256, "a/" * 450 + "a"]
)
def test_check_key_refuses(key):
    with pytest.raises(errors.InvalidKey):
        layout.check_key(key)


@given(texts, hex_ids)
def test_pack_keys_are_taken_apart_again(project, pack_id):
    key = layout.pack_key(project, pack_id)
    assert layout.check_key(key).startswith(layout.packs_prefix(project))
    assert layout.parse_pack_key(key) == (project, pack_id)


@given(texts, hex_ids, st.text(min_size=1, max_size=20))
def test_keys_of_data_keys_are_taken_apart_again(project, data_key_id, master):
    key = layout.wrapped_key(project, data_key_id, master)
    assert layout.check_key(key).startswith(layout.wrapped_keys_prefix(project))
    assert layout.parse_wrapped_key(key) == (project, data_key_id, master)


@given(texts, texts, st.text(min_size=1, max_size=20), hex_ids, st.integers(0, 99_999_999))
def test_keys_of_resources_are_taken_apart_again(checkpoint, resource, name, attempt_id, index):
    document = layout.attempt_key(layout.document_prefix(checkpoint, resource, name), attempt_id, 3)
    manifest = layout.attempt_key(layout.manifest_prefix(checkpoint, resource, name), attempt_id, 0)
    segment = layout.segment_key(checkpoint, resource, name, attempt_id, index)
    for key, kind, rest in (
        (document, "documents", f"{attempt_id}-003"),
        (manifest, "manifests", f"{attempt_id}-000"),
        (segment, "segments", f"{attempt_id}/{index:08d}"),
    ):
        assert key.startswith(layout.resource_prefix(checkpoint, resource))
        assert layout.parse_resource_key(key) == layout.ResourceObject(checkpoint, resource, kind, name, rest)


@pytest.mark.parametrize(
    "key",
    [
        "data/p/packs/xyz",
        "data/p/other/" + "0" * 32,
        "keys/p/" + "0" * 31 + "/m",
        "checkpoints/c/plan.json",
        "checkpoints/c/resources/r/segments/s/0/00000000",
        "checkpoints/c/resources/r/manifests/s/0",
        "checkpoints/c/resources/r/else/s/000000",
    ],
)
def test_parsers_refuse_other_keys(key):
    for parse in (layout.parse_pack_key, layout.parse_wrapped_key, layout.parse_resource_key):
        with pytest.raises(errors.InvalidKey):
            parse(key)
