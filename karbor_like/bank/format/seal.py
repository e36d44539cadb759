"""Sealed objects: the encryption and authentication of everything in a bank except packs.

A sealed object is bound to the key under which it is stored: one that was altered or moved does not open. With a secret, it
is encrypted and authenticated (AES-256-GCM under a key of its own); without one, it has a checksum. The blocks of packs are
encrypted in :mod:`karbor_like.bank.format.encryption`. The bytes are described in
``doc/source/contributor/bank-format.rst``, section *Sealed objects*.
"""

import hashlib
import hmac
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from karbor_like.bank import errors
from karbor_like.bank.format import codec

MAGIC: Final = b"KLSO"
VERSION: Final = 1
CHECKSUM: Final = 0
AES_GCM: Final = 1

#: Maximum bytes of the payload of a sealed object: 16 MiB.
MAX_PAYLOAD: Final = 16 * 1024 * 1024

_FIXED = struct.Struct("<4sBBBB")
_SIZE = struct.Struct("<I")
_MAX_SEAL_ID = 255
_SALT_BYTES = 32
_SHA256_BYTES = 32
_LEVEL = 3
#: Every sealed object has a key of its own, so the nonce is constant.
_NONCE = bytes(12)


class Secret(Protocol):
    """A key for sealing.

    :param seal_id: its name, ASCII, at most 255 characters; stored in clear in the sealed object
    :param material: 32 bytes
    """

    @property
    def seal_id(self) -> str: ...

    @property
    def material(self) -> bytes: ...


def derive(material: bytes, salt: bytes, info: bytes) -> bytes:
    """Derive 32 bytes from a key with HKDF-SHA256. Results for different salts or infos are independent."""
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt or None, info=info).derive(material)


def seal(key: str, payload: codec.Buffer, secret: Secret | None, *, part: str = "") -> bytes:
    """Seal *payload* for storing under *key*.

    :param part: name of the part, if the object consists of several
    :param secret: None if the bank is not encrypted; then only a checksum protects the object
    :raises InvalidKey: the name of the secret is too long
    """
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"{key}: cannot seal {len(payload)} bytes; the limit is {MAX_PAYLOAD}")
    body: codec.Buffer = codec.compress(payload, _LEVEL)
    compression = codec.ZSTD
    if len(body) >= len(payload):
        body, compression = payload, codec.RAW
    binding = _binding(key, part)
    if secret is None:
        header = _FIXED.pack(MAGIC, VERSION, CHECKSUM, compression, 0) + _SIZE.pack(len(payload))
        return b"".join((header, body, hashlib.sha256(b"".join((binding, header, body))).digest()))
    name = secret.seal_id.encode("ascii")
    if len(name) > _MAX_SEAL_ID:
        raise errors.InvalidKey(
            f"{key}: the key id {secret.seal_id[:100]!r}... is too long; expected at most {_MAX_SEAL_ID} characters"
        )
    salt = os.urandom(_SALT_BYTES)
    header = _FIXED.pack(MAGIC, VERSION, AES_GCM, compression, len(name)) + name + salt + _SIZE.pack(len(payload))
    return header + _cipher(secret, salt).encrypt(_NONCE, body, binding + header)


@dataclass(frozen=True)
class Header:
    """The header of a sealed object. Not trustworthy before the object is opened."""

    protection: int
    compression: int
    seal_id: str
    salt: bytes
    size: int
    length: int


def read_header(key: str, data: codec.Buffer) -> Header:
    """Decode the header of a sealed object. Raises Corrupted or UnsupportedVersion."""
    try:
        magic, version, protection, compression, name_length = _FIXED.unpack_from(data)
        if magic != MAGIC:
            raise errors.Corrupted(f"{key}: is not a sealed object")
        if version != VERSION:
            raise errors.UnsupportedVersion(
                f"{key}: has version {version} of the format; this reader supports {VERSION}"
            )
        salt_at = _FIXED.size + name_length
        salt_length = _SALT_BYTES if protection == AES_GCM else 0
        (size,) = _SIZE.unpack_from(data, salt_at + salt_length)
        name = bytes(data[_FIXED.size : salt_at]).decode("ascii")
    except (struct.error, UnicodeDecodeError):
        raise errors.Corrupted(f"{key}: the header of the sealed object is damaged") from None
    if protection not in (CHECKSUM, AES_GCM) or compression not in (codec.RAW, codec.ZSTD) or size > MAX_PAYLOAD:
        raise errors.Corrupted(f"{key}: the header of the sealed object has impossible values")
    salt = bytes(data[salt_at : salt_at + salt_length])
    return Header(protection, compression, name, salt, size, salt_at + salt_length + _SIZE.size)


def unseal(key: str, data: codec.Buffer, resolve_key: Callable[[str], Secret] | None, *, part: str = "") -> bytes:
    """Open the sealed object (or part) *data* that is stored under *key*. Returns its payload.

    :param resolve_key: returns the secret of a seal id, or raises KeyUnavailable; None if the bank is not encrypted
    :raises Corrupted: it was altered, truncated, or sealed for another key
    :raises UnsupportedVersion: it was written by a later version
    :raises KeyUnavailable: it is encrypted and the key is not available
    """
    header = read_header(key, data)
    view = memoryview(data)
    binding = _binding(key, part) + bytes(view[: header.length])
    what = f"{key} ({part})" if part else key
    if header.protection == AES_GCM:
        if resolve_key is None:
            raise errors.KeyUnavailable(
                f"{what}: is encrypted with {header.seal_id!r}, but no master key is configured"
            )
        try:
            secret = resolve_key(header.seal_id)
        except (errors.Corrupted, errors.KeyUnavailable) as error:
            raise type(error)(f"{what}: {error}") from None
        try:
            body = _cipher(secret, header.salt).decrypt(_NONCE, view[header.length :], binding)
        except InvalidTag:
            raise errors.Corrupted(f"{what}: was altered, or was sealed for another key") from None
    elif resolve_key is not None:
        raise errors.Corrupted(
            f"{what}: is not encrypted, but this bank is; it was replaced, or the bank was created without encryption"
        )
    else:
        body = bytes(view[header.length : -_SHA256_BYTES])
        if not hmac.compare_digest(hashlib.sha256(binding + body).digest(), view[-_SHA256_BYTES:]):
            raise errors.Corrupted(f"{what}: was altered, or was sealed for another key")
    if header.compression == codec.ZSTD:
        return codec.decompress(body, header.size, what)
    if len(body) != header.size:
        raise errors.Corrupted(f"{what}: has {len(body)} bytes; expected {header.size}")
    return body


def _binding(key: str, part: str) -> bytes:
    name = f"{key}#{part}".encode("ascii") if part else key.encode("ascii")
    return _SIZE.pack(len(name)) + name


def _cipher(secret: Secret, salt: bytes) -> AESGCM:
    return AESGCM(derive(secret.material, salt, b"karbor_like sealed v1"))
