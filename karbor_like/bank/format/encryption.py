"""Encryption of the blocks in a pack: AES-256-GCM under a key of the pack, with the offset as the nonce.

Every other encrypted object of a bank is sealed: see :mod:`karbor_like.bank.format.seal`. The bytes are described in
``doc/source/contributor/bank-format.rst``, section *Packs*.
"""

import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from karbor_like.bank import errors
from karbor_like.bank.format import codec
from karbor_like.bank.format.datakey import DataKey

TAG_BYTES: Final = 16

_NONCE = struct.Struct("<IQ")
_ASSOCIATED = struct.Struct("<IB")


class PackCipher:
    """Encrypts and decrypts the stored blocks of one pack.

    A nonce is never used twice under one key: the key is derived from the random id of the pack, and the nonce is the offset
    of the block. Thread-safe.

    :param pack_id: 16 bytes
    :param header: of the pack; every block is authenticated together with it
    """

    def __init__(self, data_key: DataKey, pack_id: bytes, header: bytes) -> None:
        self._aead = AESGCM(data_key.pack_key(pack_id))
        self._header = header

    def encrypt_block(self, offset: int, size: int, codec_id: int, body: codec.Buffer, target: memoryview) -> None:
        """Encrypt *body* into *target*, which is TAG_BYTES longer.

        :param offset: of the stored block in the pack
        :param size: bytes of the block before compression
        """
        self._aead.encrypt_into(_NONCE.pack(0, offset), body, self._header + _ASSOCIATED.pack(size, codec_id), target)

    def decrypt_block(
        self, what: str, offset: int, size: int, codec_id: int, stored: codec.Buffer, target: memoryview
    ) -> None:
        """Decrypt *stored* into *target*, which is TAG_BYTES shorter.

        :param what: names the block in errors
        :raises Corrupted: it was altered, or is not of this pack, project or offset
        """
        associated = self._header + _ASSOCIATED.pack(size, codec_id)
        try:
            self._aead.decrypt_into(_NONCE.pack(0, offset), stored, associated, target)
        except InvalidTag:
            raise errors.Corrupted(f"{what}: was altered, or belongs to another pack or project") from None
