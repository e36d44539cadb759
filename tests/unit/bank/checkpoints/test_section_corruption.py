"""Reading and verification find any damage of an object and name it; no damaged bytes are returned."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from karbor_like.bank import errors, layout
from karbor_like.bank.format import manifest, pack, seal
from tests.unit.bank import banks

DATA = os.urandom(12 * banks.BLOCK) + b"text " * 300 + bytes(1000) + os.urandom(30 * banks.BLOCK)

#: The errors that name a damaged object.
DAMAGE = (errors.Corrupted, errors.UnsupportedVersion, errors.KeyUnavailable)


def flip(data):
    at = 50  # in the first block of a pack, behind the header of anything else
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def cut(data):
    return data[:-7]


def grown(data):
    return data + b"\0"


DAMAGES = [flip, cut, grown, None]
KINDS = ["data/", "/segments/", "/manifests/"]


def keys_of(bank, kind, checkpoint="c0", resource=banks.VOLUME):
    """Keys of packs, or of objects of one kind of a resource."""
    if kind == "data/":
        return [info.key for info in bank.store.list(kind)]
    prefix = layout.resource_prefix(checkpoint, resource)
    return [info.key for info in bank.store.list(prefix) if kind in info.key]


def damage(bank, key, how):
    data = bank.store.get(key)
    bank.store.delete(key)
    if how is not None:
        bank.store.put(key, how(data))


def read_all(section):
    """What is handed out before the reader raises, and what it raises."""
    got = []
    try:
        with section.read("data") as reader:
            got.extend(map(bytes, reader))
    except DAMAGE as error:
        return b"".join(got), error
    return b"".join(got), None


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_object_is_named_and_nothing_wrong_is_handed_out(encrypted, how, kind):
    bank = banks.make_bank(encrypted=encrypted)
    section = banks.protect(bank, "c0", DATA)
    key = keys_of(bank, kind)[-1]
    damage(bank, key, how)
    with pytest.raises(DAMAGE, match=key):
        section.verify("data", "full")
    got, error = read_all(section)
    assert DATA.startswith(got)
    if kind == "data/" and how in (cut, grown):
        assert error is None, "only the frame of the pack is damaged, which no stream needs"
    else:
        assert key in str(error)
        assert len(got) < len(DATA)
    if kind != "data/" or how is not flip:
        with pytest.raises(DAMAGE, match=key):
            section.verify("data", "quick")
    if kind == "data/" and how is not None:
        with pytest.raises(DAMAGE, match=key):
            pack.check(key, bank.store.get(key))


@settings(max_examples=60)
@given(which=st.floats(0, 1, exclude_max=True), where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@pytest.mark.parametrize("encrypted", [True, False])
def test_any_flipped_bit_of_any_object_of_a_stream_is_found_or_does_not_matter(encrypted, which, where, bit):
    bank = banks.make_bank(encrypted=encrypted)
    section = banks.protect(bank, "c0", DATA)
    keys = [key for kind in KINDS for key in keys_of(bank, kind)]
    key = keys[int(which * len(keys))]
    data = bytearray(bank.store.get(key))
    data[int(where * len(data))] ^= 1 << bit
    bank.store.put(key, data)
    got, error = read_all(section)
    assert DATA.startswith(got)
    if error is None:
        # Nothing of the stream depends on the frame of a pack: that is for the scrub to find.
        assert got == DATA
        assert key.startswith("data/")
    else:
        assert key in str(error)
    if key.startswith("data/"):
        with pytest.raises(DAMAGE, match=key):
            pack.check(key, data)


def swap(bank, one, other):
    first, second = bank.store.get(one), bank.store.get(other)
    bank.store.put(one, second)
    bank.store.put(other, first)


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["checkpoint", "resource", "project"])
def test_swapped_objects_are_found(encrypted, kind, where):
    """Each object is authentic, but of another place."""
    bank = banks.make_bank(encrypted=encrypted)
    checkpoint = "c1"
    resource = "OS::Cinder::Volume#v2" if where == "resource" else banks.VOLUME
    project = "project-2" if where == "project" else banks.PROJECT
    one = banks.protect(bank, "c0", DATA)
    packs = keys_of(bank, "data/")
    other_data = DATA[::-1]
    other = banks.protect(bank, checkpoint, other_data, resource_key=resource, project_id=project)
    if kind == "data/":
        first, second = packs[0], next(key for key in keys_of(bank, kind) if key not in packs)
    else:
        first = keys_of(bank, kind)[0]
        second = keys_of(bank, kind, checkpoint, resource)[0]
    swap(bank, first, second)
    for section, key, data in ((one, first, DATA), (other, second, other_data)):
        got, error = read_all(section)
        assert error is not None
        assert key in str(error)
        assert data.startswith(got)
        with pytest.raises(DAMAGE, match=key):
            section.verify("data", "full")


def test_swapped_segments_of_one_manifest_are_found():
    bank = banks.make_bank()
    section = banks.protect(bank, "c0", DATA)
    first, second, *_ = keys_of(bank, "/segments/")
    swap(bank, first, second)
    assert first in str(read_all(section)[1])
    with pytest.raises(DAMAGE, match=first):
        section.verify("data", "quick")


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_document_is_named(encrypted, how):
    bank = banks.make_bank(encrypted=encrypted)
    with bank.leases.acquire(holder="test") as lease:
        section = banks.new_section(bank, "c0", lease)
        section.put("metadata", {"size": 1})
        bank.checkpoints.commit("c0", lease)
    section = bank.section("c0", banks.PROJECT, banks.VOLUME)
    (key,) = keys_of(bank, "/documents/")
    damage(bank, key, how)
    with pytest.raises(DAMAGE, match=key):
        section.get("metadata")
    with pytest.raises(DAMAGE, match=key):
        section.verify("metadata", "quick")


def test_an_object_that_another_projects_key_sealed_is_refused():
    """With the key of one project, nothing of another project can be forged."""
    bank = banks.make_bank()
    section = banks.protect(bank, "c0", DATA)
    banks.protect(bank, "c1", DATA, project_id="project-2")
    (key,) = keys_of(bank, "/manifests/")
    head = manifest.read_head(bank.store, key, bank.keyring.resolve_key)
    with bank.leases.acquire(holder="test") as lease:
        foreign = bank.keyring.current("project-2", lease)
    bank.store.put(key, manifest.seal_head(key, head, foreign))
    with pytest.raises(errors.Corrupted, match="project-2"):
        section.read("data")
    with bank.leases.acquire(holder="test") as lease:
        writing = banks.new_section(bank, "c2", lease)
        writing.put("metadata", {"true": 1})
        (document,) = keys_of(bank, "/documents/", "c2")
        bank.store.put(document, seal.seal(document, b'{"forged":1}', foreign))
        with pytest.raises(errors.Corrupted, match="project-2"):
            bank.section("c2", banks.PROJECT, banks.VOLUME).get("metadata")


def test_an_encrypted_bank_takes_nothing_from_one_that_is_not():
    plain, encrypted = banks.make_bank(encrypted=False), banks.make_bank()
    banks.protect(plain, "c0", DATA)
    section = banks.protect(encrypted, "c0", DATA)
    (key,) = keys_of(encrypted, "/manifests/")
    (source,) = keys_of(plain, "/manifests/")
    encrypted.store.put(key, plain.store.get(source))
    with pytest.raises(errors.Corrupted, match=key):
        section.read("data")


@pytest.mark.parametrize(("version", "what"), [(1, "the SHA-256 of the stream"), (2, "the digest of the blocks")])
def test_a_wrong_digest_is_found_before_the_end_is_handed_out(version, what):
    """Blocks that are all right in themselves and make another stream than was written."""
    bank = banks.make_bank()
    section = banks.protect(bank, "c0", DATA)
    (key,) = keys_of(bank, "/manifests/")
    banks.replace_head(bank, key, digest="0" * 64, format=version)
    got, error = read_all(section)
    assert what in str(error)
    assert DATA.startswith(got)
    assert len(got) < len(DATA)


def test_a_wrong_digest_of_the_content_is_found_without_reading_a_block():
    bank = banks.make_bank()
    section = banks.protect(bank, "c0", DATA)
    section.verify("data", "quick")
    (key,) = keys_of(bank, "/manifests/")
    banks.replace_head(bank, key, digest="0" * 64)
    with pytest.raises(errors.Corrupted, match="the digest of the blocks"):
        section.verify("data", "quick")
