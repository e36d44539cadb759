"""A second reader of banks, written from ``doc/source/contributor/bank-format.rst`` alone: it shares no code with the first.

Restores one stream of one checkpoint from the objects of a bank. Where the document and this program disagree, one of them
is wrong.
"""

import hashlib
import hmac
import json
import re
import struct
from collections.abc import Iterator, Mapping

import blake3
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 with 32 bytes of output (RFC 5869), which is one round."""
    extracted = hmac.digest(salt or bytes(32), key, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def quote(text: str) -> str:
    return "".join(
        chr(byte) if re.match(rb"[A-Za-z0-9_:-]" if at == 0 else rb"[A-Za-z0-9_.:-]", bytes([byte])) else f"={byte:02X}"
        for at, byte in enumerate(text.encode())
    )


def unzstd(data: bytes, size: int) -> bytes:
    assert zstandard.frame_content_size(data) == size
    return zstandard.ZstdDecompressor().decompress(data)


class Reader:
    """Reads a bank.

    :param objects: key -> bytes
    :param masters: name -> 32 bytes; empty where the bank is not encrypted
    """

    def __init__(self, objects: Mapping[str, bytes], masters: Mapping[str, bytes]) -> None:
        self.objects = objects
        self.masters = masters

    def unseal(self, key: str, data: bytes, part: str = "") -> bytes:
        magic, version, protection, compression, name_length = struct.unpack_from("<4sBBBB", data)
        assert (magic, version) == (b"KLSO", 1)
        assert bool(self.masters) == (protection == 1), "not protected as this bank should be"
        at = 8 + name_length
        key_id = data[8:at].decode()
        salt = data[at : at + 32] if protection else b""
        (size,) = struct.unpack_from("<I", data, at + len(salt))
        body_at = at + len(salt) + 4
        name = (key + "#" + part if part else key).encode()
        bound = struct.pack("<I", len(name)) + name + data[:body_at]
        if protection:
            own_key = hkdf(self.secret(key_id), salt, b"karbor_like sealed v1")
            body = AESGCM(own_key).decrypt(bytes(12), data[body_at:], bound)
        else:
            body = data[body_at:-32]
            assert hashlib.sha256(bound + body).digest() == data[-32:]
        payload = unzstd(body, size) if compression else body
        assert len(payload) == size
        return payload

    def secret(self, key_id: str) -> bytes:
        kind, name = key_id.split("/")
        return self.masters[name] if kind == "master" else self.data_key(kind, name)

    def data_key(self, project: str, data_key: str) -> bytes:
        for master in self.masters:
            key = f"keys/{project}/{data_key}/{master}"
            if key in self.objects:
                return self.unseal(key, self.objects[key])
        raise AssertionError(f"no master key opens data key {data_key}")

    def head_key(self, checkpoint: str, resource: str, name: str) -> str:
        """What the commit of the latest claim pins; without a commit, the last attempt under the last claim that has one."""
        here = f"checkpoints/{quote(checkpoint)}"
        assert f"{here}/deleted" not in self.objects, "the checkpoint was deleted"
        prefix = f"{here}/resources/{quote(resource)}/manifests/{quote(name)}/"
        events = [key for key in sorted(self.objects) if key.startswith(f"{here}/events/")]
        assert all(re.fullmatch(r"[0-9]{16}\.[0-9a-f]{8}-[a-z_-]+\.json", key.rpartition("/")[2]) for key in events)
        commits = [json.loads(self.unseal(key, self.objects[key])) for key in events if key.endswith("-available.json")]
        if commits:
            return max(commits, key=lambda commit: commit.get("claim", -1))["pins"][prefix]
        claims = []
        while (key := f"{here}/writers/{len(claims):06d}") in self.objects:
            claims.append(json.loads(self.objects[key])["lease"])
        for lease in reversed(claims):
            found = sorted(key for key in self.objects if key.startswith(f"{prefix}{lease}-"))
            if found:
                return found[-1]
        raise AssertionError("there is no such stream")

    def stream(self, checkpoint: str, resource: str, name: str) -> bytes:
        key = self.head_key(checkpoint, resource, name)
        head = json.loads(self.unseal(key, self.objects[key]))
        assert head["format"] in (1, 2)
        assert (head["checkpoint_id"], head["resource_key"], head["name"]) == (checkpoint, resource, name)
        content = b"".join(self.blocks(head))
        assert len(content) == head["size"]
        expected = hashlib.sha256(content).hexdigest() if head["format"] == 1 else self.content_digest(head)
        assert expected == head["digest"]
        return content

    def content_digest(self, head: dict) -> str:
        """The digest of a head of version 2."""
        per_segment, count = head["segment_blocks"], -(-head["size"] // head["block_size"])
        segments = {index: rest for index, *rest in head["segments"]}
        digest = hashlib.sha256(struct.pack("<QII", head["size"], head["block_size"], per_segment))
        for index in segments:
            n = min(per_segment, count - index * per_segment)
            entries = self.segment(head, index, segments, n)
            bitmap = sum(1 << block for block in entries).to_bytes(-(-n // 8), "little")
            hashes = b"".join(entries[block][-1] for block in sorted(entries))
            digest.update(struct.pack("<I", index) + hashlib.sha256(struct.pack("<I", n) + bitmap + hashes).digest())
        return digest.hexdigest()

    def blocks(self, head: dict) -> Iterator[bytes]:
        size, per_segment = head["size"], head["segment_blocks"]
        count = -(-size // head["block_size"])
        segments = {index: rest for index, *rest in head["segments"]}
        for first in range(0, count, per_segment):
            n = min(per_segment, count - first)
            entries = self.segment(head, first // per_segment, segments, n) if first // per_segment in segments else {}
            for block in range(n):
                length = min(head["block_size"], size - (first + block) * head["block_size"])
                yield self.block(head, length, *entries[block]) if block in entries else bytes(length)

    def segment(self, head: dict, index: int, segments: dict, n: int) -> dict[int, tuple]:
        table_length, size, m = segments[index]
        where = f"checkpoints/{quote(head['checkpoint_id'])}/resources/{quote(head['resource_key'])}/segments"
        key = f"{where}/{quote(head['name'])}/{head['attempt']}/{index:08d}"
        data = self.objects[key]
        assert len(data) == size
        table = list(struct.iter_unpack("<16sII", self.unseal(key, data[:table_length], "table")))
        entries = self.unseal(key, data[table_length:], "entries")
        assert struct.unpack_from("<I", entries) == (n,)
        at = 4 + -(-n // 8)
        stored = [i for i in range(n) if entries[4 + i // 8] >> i % 8 & 1]
        rows, offsets, lengths = (struct.unpack_from(f"<{m}I", entries, at + column * 4 * m) for column in range(3))
        codecs = entries[at + 12 * m : at + 13 * m]
        hashes = [entries[at + 13 * m + 32 * i : at + 13 * m + 32 * (i + 1)] for i in range(m)]
        assert len(entries) == at + 45 * m
        assert len(stored) == m
        packs = [(pack.hex(), size or head["packs"][pack.hex()]) for pack, size, _ in table]
        return {
            i: (*packs[row], *rest)
            for i, row, *rest in zip(stored, rows, offsets, lengths, codecs, hashes, strict=True)
        }

    def block(
        self, head: dict, size: int, pack: str, pack_size: int, offset: int, length: int, codec: int, block_hash: bytes
    ) -> bytes:
        data = self.objects[f"data/{quote(head['project_id'])}/packs/{pack}"]
        assert len(data) == pack_size
        assert data[:4] == b"KLPK"
        assert data[4] == 1
        assert data[24:40].hex() == pack
        assert blake3.blake3(data[:-32]).digest() == data[-32:]
        stored = data[offset : offset + length]
        if data[5] == 1:
            data_key = self.data_key(quote(head["project_id"]), data[8:24].hex())
            cipher = AESGCM(hkdf(data_key, data[24:40], b"karbor_like pack v1"))
            stored = cipher.decrypt(struct.pack("<IQ", 0, offset), stored, data[:40] + struct.pack("<IB", size, codec))
            hash_key = hkdf(data_key, b"", b"karbor_like block hash v1")
            expected = blake3.blake3(unzstd(stored, size) if codec else stored, key=hash_key).digest()
        else:
            expected = hashlib.sha256(unzstd(stored, size) if codec else stored).digest()
        assert expected == block_hash
        return unzstd(stored, size) if codec else stored
