"""What the operations protect and restore: one small resource per plugin."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from karbor_like.domain.resource import IMAGE, VOLUME, Resource
from karbor_like.testing.sandbox import SMALL_GIB
from tests.faults.system import BACKUPS, GLANCE, SNAPSHOTS, System
from tests.scenario.tenant import until

OPERATIONS: Final = ("protect", "restore", "verify", "delete", "copy")


@dataclass(frozen=True)
class Subject:
    """A resource of the tenant, and how to look at it.

    :param operations: those that its plugin has
    :param make: creates one
    :param content: returns a digest of the bytes of one, by its id
    :param change: changes the bytes of one, by its id, so that the bank has to store some
    :param remove: deletes one, by its id
    """

    name: str
    provider_id: str
    operations: tuple[str, ...]
    make: Callable[[System], Resource]
    content: Callable[[System, str], str]
    change: Callable[[System, str], None]
    remove: Callable[[System, str], None]


def _make_volume(system: System) -> Resource:
    cinder = system.alice.cinder
    created = cinder.volumes.create(1, name="data")
    until(lambda: cinder.volumes.get(created.id), lambda volume: volume.status == "available")
    # Incompressible, with a hole: several blocks, and a pack that is not empty.
    system.sandbox.write_volume(created.id, random.Random(created.id).randbytes(SMALL_GIB // 2))
    return Resource(VOLUME, created.id, "data")


def _change_volume(system: System, volume_id: str) -> None:
    system.sandbox.write_volume(volume_id, random.randbytes(SMALL_GIB // 4))


def _remove_volume(system: System, volume_id: str) -> None:
    system.alice.delete_volume(volume_id, cascade=True)


def _make_image(system: System) -> Resource:
    image = system.alice.image("data", random.Random(1).randbytes(SMALL_GIB // 2))
    return Resource(IMAGE, image.id, "data")


def _volume(name: str, provider_id: str, operations: tuple[str, ...]) -> Subject:
    return Subject(
        name,
        provider_id,
        operations,
        _make_volume,
        lambda system, volume_id: system.sandbox.volume_digest(volume_id),
        _change_volume,
        _remove_volume,
    )


SUBJECTS: Final[Mapping[str, Subject]] = {
    subject.name: subject
    for subject in (
        _volume("volume", GLANCE, OPERATIONS),
        Subject(
            "image",
            GLANCE,
            OPERATIONS,
            _make_image,
            lambda system, image_id: system.alice.image_digest(image_id),
            lambda system, image_id: None,  # images do not change
            lambda system, image_id: system.alice.glance.images.delete(image_id),
        ),
        _volume("snapshot", SNAPSHOTS, ("protect", "restore", "delete")),
        _volume("backup", BACKUPS, ("protect", "restore", "delete")),
    )
}
