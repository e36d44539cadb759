"""The keys of archives: who opens one, and who does not."""

import io

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa, x25519

from karbor_like import exception
from karbor_like.control import encryption, errors

PEM = serialization.Encoding.PEM


def public(key) -> bytes:
    return key.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def private(key, protection=None) -> bytes:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, protection or serialization.NoEncryption())


def no_password() -> str:
    raise AssertionError("the file is not encrypted")


def identity(key) -> encryption.PrivateKey:
    return encryption.PrivateKey(private(key), no_password)


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


KEY = bytes(range(32))
SECRET = encryption.Passphrase("correct horse battery", 2)


def test_a_passphrase_opens_its_archives():
    wrapped = SECRET.wrap(KEY)
    assert SECRET.unwrap(wrapped) == KEY
    assert SECRET.wrap(KEY) != wrapped
    with pytest.raises(errors.WrongKey, match="the passphrase is wrong"):
        encryption.Passphrase("correct horse batterz", 2).unwrap(wrapped)


def test_the_cost_of_a_passphrase_is_high_and_bounded():
    assert encryption.COST >= 2**17
    for cost in (0, 1, 3, 2**30, -2, 2.0, True, "2", None):
        with pytest.raises(errors.BadArchive, match="cost"):
            SECRET.unwrap({**SECRET.wrap(KEY), "cost": cost})


def test_a_short_passphrase_is_refused():
    with pytest.raises(exception.InvalidInput, match="11 characters; it needs at least 12"):
        encryption.Passphrase("x" * 11)


def test_keys_open_their_archives(rsa_key):
    x25519_key = x25519.X25519PrivateKey.generate()
    for key, other in (
        (x25519_key, x25519.X25519PrivateKey.generate()),
        (rsa_key, rsa.generate_private_key(65537, 2048)),
    ):
        wrapped = encryption.PublicKey(public(key)).wrap(KEY)
        assert KEY.hex() not in str(wrapped)
        assert identity(key).unwrap(wrapped) == KEY
        with pytest.raises(errors.WrongKey, match="another public key"):
            identity(other).unwrap(wrapped)
    wrapped = encryption.PublicKey(public(rsa_key)).wrap(KEY)
    with pytest.raises(errors.WrongKey, match="opened by an RSA private key, not by an X25519 private key"):
        identity(x25519_key).unwrap(wrapped)
    with pytest.raises(errors.WrongKey, match="opened by an RSA private key, not by a passphrase"):
        SECRET.unwrap(wrapped)


def test_an_encrypted_key_file_needs_its_password():
    key = x25519.X25519PrivateKey.generate()
    pem = private(key, serialization.BestAvailableEncryption(b"of the file"))
    wrapped = encryption.PublicKey(public(key)).wrap(KEY)
    assert encryption.PrivateKey(pem, lambda: "of the file").unwrap(wrapped) == KEY
    with pytest.raises(exception.InvalidInput, match="does not open the file"):
        encryption.PrivateKey(pem, lambda: "another")


def test_unsuitable_keys_are_refused():
    weak, other = rsa.generate_private_key(65537, 1024), ed25519.Ed25519PrivateKey.generate()
    with pytest.raises(exception.InvalidInput, match="1024 bits"):
        encryption.PublicKey(public(weak))
    with pytest.raises(exception.InvalidInput, match="another kind"):
        encryption.PublicKey(public(other))
    with pytest.raises(exception.InvalidInput, match="another kind"):
        identity(other)
    with pytest.raises(exception.InvalidInput, match="no public key in PEM"):
        encryption.PublicKey(private(weak))
    with pytest.raises(exception.InvalidInput, match="no private key in PEM"):
        encryption.PrivateKey(b"x", no_password)


@pytest.mark.parametrize("wrapped", [{}, {"kind": "rot13"}, {"kind": ["passphrase"]}])
def test_an_unknown_wrapping_is_refused(wrapped):
    with pytest.raises(errors.BadArchive, match="a way that this release does not know"):
        SECRET.unwrap(wrapped)


@pytest.mark.parametrize("changes", [{"salt": "xyz"}, {"salt": None}, {"salt": 5}, {"wrapped": []}])
def test_invalid_wrappings_are_refused(changes):
    with pytest.raises(errors.BadArchive, match="no valid"):
        SECRET.unwrap({**SECRET.wrap(KEY), **changes})
    key = x25519.X25519PrivateKey.generate()
    wrapped = {**encryption.PublicKey(public(key)).wrap(KEY), "ephemeral": "00" * 32}
    with pytest.raises(errors.BadArchive, match="ephemeral"):
        identity(key).unwrap(wrapped)


@pytest.mark.parametrize(
    "size", [0, 1, encryption.CHUNK - 1, encryption.CHUNK, encryption.CHUNK + 1, 3 * encryption.CHUNK]
)
def test_a_stream_of_any_size(size):
    written: list[bytes] = []
    encryptor = encryption.Encryptor(written.append, KEY, b"header")
    data = bytes(size)
    encryptor.write(data[:1000])
    encryptor.write(data[1000:])
    encryptor.finish()
    stored = b"".join(written)
    assert len(stored) == size + len(written) * encryption.TAG_BYTES
    assert b"".join(encryption.decrypted(io.BytesIO(stored), len(stored), KEY, b"header")) == data
    for key, header in ((bytes(32), b"header"), (KEY, b"another")):
        with pytest.raises(errors.BadArchive):
            list(encryption.decrypted(io.BytesIO(stored), len(stored), key, header))
