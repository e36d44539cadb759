"""The data key of a project, from which the keys of packs and the block hash are derived."""

from dataclasses import dataclass, field
from functools import cached_property

from karbor_like.bank import layout
from karbor_like.bank.format import codec, seal


@dataclass(frozen=True)
class DataKey:
    """The key of one project. It leaves the process only wrapped by a master key.

    :param id: 32 hexadecimal digits
    :param material: 32 random bytes
    """

    project_id: str
    id: str
    material: bytes = field(repr=False)

    @property
    def seal_id(self) -> str:
        """The name of the key in sealed objects."""
        return f"{layout.quote(self.project_id)}/{self.id}"

    @cached_property
    def block_hash(self) -> codec.Hash:
        """The function that hashes blocks for deduplication under this key."""
        return codec.keyed_hash(seal.derive(self.material, b"", b"karbor_like block hash v1"))

    def pack_key(self, pack_id: bytes) -> bytes:
        """Derive the key that encrypts one pack, and nothing else."""
        return seal.derive(self.material, pack_id, b"karbor_like pack v1")
