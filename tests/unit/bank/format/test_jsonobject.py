"""JSON in a bank is untrusted: it is decoded to an object, or refused with a bank error."""

import contextlib

import hypothesis
import pytest
from hypothesis import strategies as st

from karbor_like.bank import errors, layout
from karbor_like.bank.checkpoints.claims import WriterClaims
from karbor_like.bank.format import jsonobject
from karbor_like.bank.leases import exclusions
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.clock import ManualClock

KEY = "leases/x/00000000"
HOSTILE = [
    b"",
    b"\xff\xfe\xfd",
    b"{",
    b"[]",
    b"1",
    b'{"a": NaN}',
    b'{"a": -Infinity}',
    b'{"a": 1e999}',
    b'{"a":' * 200_000,
]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,  # to make larger values takes four times as long, and they are no different
)
objects = st.dictionaries(st.text(), values)


@hypothesis.given(objects)
def test_what_was_dumped_is_loaded(value):
    assert jsonobject.load(KEY, jsonobject.dump(value)) == value


@pytest.mark.parametrize("raw", HOSTILE, ids=lambda raw: str(raw[:12]))
def test_anything_else_is_corrupted(raw):
    with pytest.raises(errors.Corrupted, match=rf"^{KEY}: (contains|does not contain) JSON"):
        jsonobject.load(KEY, raw)


def test_what_nothing_authenticates_is_not_read_if_it_is_large():
    store = MemoryStore(ManualClock())
    body = {"version": 1, "packs": [], "data_keys": [], "leases": [], "lease": "l"}
    small, large = (jsonobject.dump({**body, "more": "x" * size}) for size in (1000, 16 * 1024 * 1024))
    for raw in (small, large):
        store.put(layout.collector_key(layout.QUARANTINE, "p", "f" * 32), raw)
        store.put(layout.writer_key("c", 0), raw)
        for read in (
            lambda: exclusions.read_exclusions(store, layout.QUARANTINE, "p"),
            WriterClaims(store, "c").read,
        ):
            with pytest.raises(errors.Corrupted, match="has more than") if raw is large else contextlib.nullcontext():
                read()


@pytest.mark.parametrize("raw", [b"{}", b'{"version": 2}', b'{"version": "1"}', b'{"version": [1]}'])
def test_another_version_is_named(raw):
    assert jsonobject.load(KEY, raw) is not None
    with pytest.raises(errors.UnsupportedVersion, match="this program supports 1"):
        jsonobject.load(KEY, raw, 1)


@hypothesis.given(
    st.one_of(
        st.sampled_from(HOSTILE),
        st.binary(),
        objects.map(jsonobject.dump),
        st.fixed_dictionaries(
            {"version": st.just(1)},
            optional=dict.fromkeys(("packs", "data_keys", "leases", "lease"), values),
        ).map(jsonobject.dump),
    )
)
def test_lists_and_claims_are_decoded_or_refused_with_a_bank_error(raw):
    store = MemoryStore(ManualClock())
    store.put(layout.collector_key(layout.QUARANTINE, "p", "f" * 32), raw)
    store.put(layout.writer_key("c", 0), raw)
    for read in (lambda: exclusions.read_exclusions(store, layout.QUARANTINE, "p"), WriterClaims(store, "c").read):
        with contextlib.suppress(*errors.UNREADABLE):
            assert read() is not None
