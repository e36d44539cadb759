import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from karbor_like.bank import errors
from karbor_like.bank.format import codec, seal
from karbor_like.bank.format.datakey import DataKey

SECRET = DataKey("p1", "0" * 32, bytes(range(32)))
payloads = st.binary(max_size=300) | st.builds(bytes, st.integers(0, 5000))


def resolver_for(secret):
    if secret is None:
        return None

    def resolve_key(seal_id):
        if seal_id != secret.seal_id:
            raise errors.KeyUnavailable(f"no key {seal_id}")
        return secret

    return resolve_key


@pytest.mark.parametrize("secret", [SECRET, None])
@given(payload=payloads)
def test_an_object_opens_only_under_its_key(secret, payload):
    data = seal.seal("a/b", payload, secret, part="x")
    assert seal.unseal("a/b", data, resolver_for(secret), part="x") == payload
    for key, part in (("a/c", "x"), ("a/b", "y"), ("a/b", "")):
        with pytest.raises(errors.Corrupted, match=key):
            seal.unseal(key, data, resolver_for(secret), part=part)


@pytest.mark.parametrize("secret", [SECRET, None])
@given(payload=payloads, where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_detected(secret, payload, where, bit):
    data = bytearray(seal.seal("a/b", payload, secret))
    data[int(where * len(data))] ^= 1 << bit
    with pytest.raises((errors.Corrupted, errors.UnsupportedVersion, errors.KeyUnavailable), match="a/b|no key"):
        seal.unseal("a/b", bytes(data), resolver_for(secret))


@pytest.mark.parametrize("secret", [SECRET, None])
@given(payload=payloads, keep=st.floats(0, 1, exclude_max=True))
def test_a_truncated_object_is_detected(secret, payload, keep):
    data = seal.seal("a/b", payload, secret)
    with pytest.raises(errors.Corrupted, match="a/b"):
        seal.unseal("a/b", data[: int(keep * len(data))], resolver_for(secret))


@given(st.binary(max_size=200))
def test_noise_is_refused(data):
    for resolve_key in (resolver_for(SECRET), None):
        with pytest.raises((errors.Corrupted, errors.UnsupportedVersion)):
            seal.unseal("a/b", data, resolve_key)
        with pytest.raises((errors.Corrupted, errors.KeyUnavailable)):
            seal.unseal("a/b", b"KLSO\x01" + data, resolve_key)


def test_another_version_is_refused():
    data = bytearray(seal.seal("a/b", b"x", None))
    data[4] = 2
    with pytest.raises(errors.UnsupportedVersion, match="version 2"):
        seal.unseal("a/b", data, None)


def test_an_encrypted_bank_refuses_objects_with_only_a_checksum():
    with pytest.raises(errors.Corrupted, match="not encrypted"):
        seal.unseal("a/b", seal.seal("a/b", b"x", None), resolver_for(SECRET))


def test_a_bank_without_keys_names_the_missing_key():
    with pytest.raises(errors.KeyUnavailable, match="p1/0000"):
        seal.unseal("a/b", seal.seal("a/b", b"x", SECRET), None)


def test_equal_payloads_do_not_look_equal():
    assert seal.seal("a", b"same", SECRET)[-20:] != seal.seal("a", b"same", SECRET)[-20:]
    assert b"secret text" not in seal.seal("a", b"secret text", SECRET)


def checksummed(body, size, compression):
    """A sealed object as an attacker would write it."""
    import hashlib

    header = struct.pack("<4sBBBB", b"KLSO", 1, 0, compression, 0) + struct.pack("<I", size)
    binding = struct.pack("<I", 3) + b"a/b"
    return header + body + hashlib.sha256(binding + header + body).digest()


@pytest.mark.parametrize(
    ("body", "size", "compression"),
    [
        (codec.compress(bytes(15 << 20), 3), 100, 1),
        (codec.compress(bytes(100), 3), 15 << 20, 1),
        (codec.compress(bytes(100), 3) + b"x", 100, 1),
        (codec.compress(bytes(100), 3) * 2, 100, 1),
        (codec.compress(bytes(100), 3)[:-1], 100, 1),
        # a frame that claims 2^60 bytes, and one that does not state its size
        (b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 60) + b"\x01\x00\x00", 100, 1),
        (b"\x28\xb5\x2f\xfd\x00\x58\x01\x00\x00", 100, 1),
        (b"", 100, 1),
        (b"x" * 99, 100, 0),
        (b"", 0xFFFFFFFF, 0),
        (b"x", 1, 2),
    ],
)
def test_bodies_with_a_wrong_size_are_refused(body, size, compression):
    with pytest.raises(errors.Corrupted, match="a/b"):
        seal.unseal("a/b", checksummed(body, size, compression), None)


def test_a_secret_with_a_name_that_is_too_long_is_refused():
    with pytest.raises(errors.InvalidKey, match="too long"):
        seal.seal("a/b", b"x", DataKey("p" * 230, "0" * 32, bytes(32)))


def test_a_payload_that_is_too_large_is_not_sealed():
    with pytest.raises(ValueError, match="limit"):
        seal.seal("a/b", bytes(seal.MAX_PAYLOAD + 1), None)


def test_the_largest_incompressible_payload():
    payload = os.urandom(seal.MAX_PAYLOAD)
    assert seal.unseal("a/b", seal.seal("a/b", payload, SECRET), resolver_for(SECRET)) == payload
