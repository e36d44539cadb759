"""Encryption of archives: a random key for each, which a passphrase or the operator's public key wraps.

The stream is cut into chunks of CHUNK bytes, each encrypted with AES-256-GCM. The nonce is the number of the chunk and a flag
that is set in the last one, so chunks cannot be reordered, repeated or left out, and the end cannot be cut off. This is the
STREAM construction (https://eprint.iacr.org/2015/189), as in age (https://age-encryption.org/v1).
"""

import os
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from karbor_like import exception
from karbor_like.control import errors

#: Bytes of a chunk before encryption; the last one may be shorter.
CHUNK: Final = 256 * 1024
TAG_BYTES: Final = 16
KEY_BYTES: Final = 32
#: scrypt: 128 MiB of memory. An archive may ask for at most twice that.
COST: Final = 2**17
_BLOCK_SIZE: Final = 8
_MAX_COST: Final = 2**18
_MIN_PASSPHRASE: Final = 12
_MIN_RSA_BITS: Final = 2048
_INFO: Final = b"karbor_like control archive v1"


class Recipient(Protocol):
    """Who can open an archive."""

    def wrap(self, key: bytes) -> Mapping[str, Any]:
        """Return what the header of the archive says about *key*, as JSON, so that only the recipient can find it out."""
        ...


class Identity(Protocol):
    """Who opens an archive."""

    def unwrap(self, wrapped: Mapping[str, Any]) -> bytes:
        """Return the key of an archive, from what :meth:`Recipient.wrap` returned.

        :raises WrongKey: it was wrapped for another recipient
        :raises BadArchive: *wrapped* is not valid
        """
        ...


class Passphrase:
    """A passphrase, which makes and opens archives.

    :param cost: N of scrypt (https://www.rfc-editor.org/rfc/rfc7914), a power of two
    :raises InvalidInput: it is too short
    """

    kind = "passphrase"

    def __init__(self, text: str, cost: int = COST) -> None:
        if len(text) < _MIN_PASSPHRASE:
            raise exception.InvalidInput(
                f"the passphrase has {len(text)} characters; it needs at least {_MIN_PASSPHRASE}"
            )
        self._text = text
        self._cost = cost
        #: An archive is opened several times, and each derivation takes long.
        self._derived: dict[tuple[bytes, int], bytes] = {}

    def wrap(self, key: bytes) -> Mapping[str, Any]:
        salt = os.urandom(16)
        wrapped = keywrap.aes_key_wrap(self._derive(salt, self._cost), key)
        return {"kind": self.kind, "salt": salt.hex(), "cost": self._cost, "wrapped": wrapped.hex()}

    def unwrap(self, wrapped: Mapping[str, Any]) -> bytes:
        _check_kind(self.kind, wrapped)
        cost = wrapped.get("cost")
        if type(cost) is not int or not 2 <= cost <= _MAX_COST or cost & (cost - 1):
            raise errors.BadArchive(f"the archive: cost {cost!r} is not valid; expected a power of two to {_MAX_COST}")
        return _unwrap(self._derive(_bytes(wrapped, "salt"), cost), wrapped, "the passphrase is wrong")

    def _derive(self, salt: bytes, cost: int) -> bytes:
        if (salt, cost) not in self._derived:
            kdf = Scrypt(salt=salt, length=KEY_BYTES, n=cost, r=_BLOCK_SIZE, p=1)
            self._derived = {(salt, cost): kdf.derive(self._text.encode())}
        return self._derived[salt, cost]


class PublicKey:
    """The operator's public key, X25519 or RSA: this host makes archives that it cannot open.

    :param pem: ``SubjectPublicKeyInfo`` in PEM, as ``openssl pkey -pubout`` writes it
    :raises InvalidInput: it is not such a key, or a weak one
    """

    def __init__(self, pem: bytes) -> None:
        try:
            self._key = serialization.load_pem_public_key(pem)
        except ValueError:
            raise exception.InvalidInput("the file of the public key has no public key in PEM") from None
        if isinstance(self._key, rsa.RSAPublicKey) and self._key.key_size < _MIN_RSA_BITS:
            raise exception.InvalidInput(
                f"the public key has {self._key.key_size} bits; an RSA key needs at least {_MIN_RSA_BITS}"
            )
        if not isinstance(self._key, rsa.RSAPublicKey | x25519.X25519PublicKey):
            raise exception.InvalidInput("the public key is of another kind; expected X25519 or RSA")

    def wrap(self, key: bytes) -> Mapping[str, Any]:
        if isinstance(self._key, rsa.RSAPublicKey):
            return {"kind": "rsa", "wrapped": self._key.encrypt(key, _OAEP).hex()}
        assert isinstance(self._key, x25519.X25519PublicKey)
        ephemeral = x25519.X25519PrivateKey.generate()
        point = ephemeral.public_key().public_bytes_raw()
        shared = _shared(ephemeral.exchange(self._key), point, self._key.public_bytes_raw())
        return {"kind": "x25519", "ephemeral": point.hex(), "wrapped": keywrap.aes_key_wrap(shared, key).hex()}


class PrivateKey:
    """The operator's private key.

    :param pem: PKCS#8 or another form of PEM, as ``openssl genpkey`` writes it
    :param password: of the file, if it is encrypted; called only if it is
    :raises InvalidInput: it is not such a key, or the password is wrong
    """

    def __init__(self, pem: bytes, password: Callable[[], str]) -> None:
        try:
            key = serialization.load_pem_private_key(pem, None)
        except TypeError:
            key = self._decrypt(pem, password())
        except ValueError:
            raise exception.InvalidInput("the file of the private key has no private key in PEM") from None
        if not isinstance(key, rsa.RSAPrivateKey | x25519.X25519PrivateKey):
            raise exception.InvalidInput("the private key is of another kind; expected X25519 or RSA")
        self._key = key

    @staticmethod
    def _decrypt(pem: bytes, password: str) -> Any:
        try:
            return serialization.load_pem_private_key(pem, password.encode())
        except ValueError:
            raise exception.InvalidInput("the passphrase does not open the file of the private key") from None

    def unwrap(self, wrapped: Mapping[str, Any]) -> bytes:
        wrong = "the archive was made for another public key"
        if isinstance(self._key, rsa.RSAPrivateKey):
            _check_kind("rsa", wrapped)
            try:
                key = self._key.decrypt(_bytes(wrapped, "wrapped"), _OAEP)
            except ValueError:
                raise errors.WrongKey(wrong) from None
            return _check_size(key)
        _check_kind("x25519", wrapped)
        point = _bytes(wrapped, "ephemeral")
        try:
            secret = self._key.exchange(x25519.X25519PublicKey.from_public_bytes(point))
        except ValueError:
            raise errors.BadArchive("the archive: its ephemeral key is not valid") from None
        return _unwrap(_shared(secret, point, self._key.public_key().public_bytes_raw()), wrapped, wrong)


_OAEP: Final = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
#: What opens each kind of archive, for messages.
_OPENED_BY: Final = {"passphrase": "a passphrase", "rsa": "an RSA private key", "x25519": "an X25519 private key"}


def _check_kind(kind: str, wrapped: Mapping[str, Any]) -> None:
    if wrapped.get("kind") == kind:
        return
    needed = _OPENED_BY.get(str(wrapped.get("kind")))
    if needed is None:
        raise errors.BadArchive("the archive: its key is wrapped in a way that this release does not know")
    raise errors.WrongKey(f"the archive is opened by {needed}, not by {_OPENED_BY[kind]}")


def _bytes(wrapped: Mapping[str, Any], name: str) -> bytes:
    try:
        return bytes.fromhex(wrapped[name])
    except (KeyError, TypeError, ValueError):
        raise errors.BadArchive(f"the archive: its header has no valid {name!r}") from None


def _unwrap(wrapping: bytes, wrapped: Mapping[str, Any], wrong: str) -> bytes:
    try:
        return _check_size(keywrap.aes_key_unwrap(wrapping, _bytes(wrapped, "wrapped")))
    except keywrap.InvalidUnwrap:
        raise errors.WrongKey(wrong) from None


def _check_size(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise errors.BadArchive(f"the archive: its key has {len(key)} bytes; expected {KEY_BYTES}")
    return key


def _shared(secret: bytes, ephemeral: bytes, public: bytes) -> bytes:
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=ephemeral + public, info=_INFO + b" x25519").derive(secret)


def new_key() -> bytes:
    """Return a random key for one archive."""
    return AESGCM.generate_key(KEY_BYTES * 8)


class _Chunks:
    """The cipher of the chunks of one archive.

    :param header: of the archive, which the key of the chunks depends on
    """

    def __init__(self, key: bytes, header: bytes) -> None:
        digest = hashes.Hash(hashes.SHA256())
        digest.update(header)
        self._aead = AESGCM(HKDF(hashes.SHA256(), KEY_BYTES, salt=digest.finalize(), info=_INFO).derive(key))
        self._number = 0

    def _nonce(self, last: bool) -> bytes:
        self._number += 1
        return (self._number - 1).to_bytes(11, "big") + bytes([last])

    def encrypt(self, data: bytes, last: bool) -> bytes:
        return self._aead.encrypt(self._nonce(last), data, None)

    def decrypt(self, data: bytes, last: bool) -> bytes:
        try:
            return self._aead.decrypt(self._nonce(last), data, None)
        except InvalidTag:
            raise errors.BadArchive(f"the archive: chunk {self._number} is damaged or missing") from None


class Encryptor:
    """Encrypts a stream.

    :param write: called with the encrypted bytes
    """

    def __init__(self, write: Callable[[bytes], object], key: bytes, header: bytes) -> None:
        self._write = write
        self._chunks = _Chunks(key, header)
        self._buffer = bytearray()

    def write(self, data: bytes) -> None:
        """Encrypt *data*."""
        self._buffer += data
        # A full buffer is kept, as it may be the last chunk.
        while len(self._buffer) > CHUNK:
            self._write(self._chunks.encrypt(bytes(self._buffer[:CHUNK]), last=False))
            del self._buffer[:CHUNK]

    def finish(self) -> None:
        """Encrypt the last chunk."""
        self._write(self._chunks.encrypt(bytes(self._buffer), last=True))


def decrypted(file: IO[bytes], size: int, key: bytes, header: bytes) -> Iterator[bytes]:
    """Decrypt the next *size* bytes of *file*, and yield each chunk.

    :raises BadArchive: they are damaged or truncated
    """
    chunks = _Chunks(key, header)
    while True:
        taken = min(size, CHUNK + TAG_BYTES)
        data = file.read(taken)
        size -= taken
        if len(data) < taken or taken < TAG_BYTES:
            raise errors.BadArchive("the archive is truncated")
        yield chunks.decrypt(data, last=not size)
        if not size:
            return
