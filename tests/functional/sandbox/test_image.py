"""Glance with python-glanceclient."""

import hashlib
import io
import random
from collections.abc import Iterator

import pytest
from glanceclient import exc

from karbor_like.sandbox.cloud import Sandbox
from tests.functional.sandbox.conftest import Clients

DATA = random.Random(1).randbytes(3 * (1 << 20) + 17)


def test_an_image_is_returned_unchanged(alice: Clients) -> None:
    image = alice.image(io.BytesIO(DATA), custom="kept", min_disk=1, tags=["a"])

    assert (image.status, image.size, image.custom, image.min_disk, image.tags) == (
        "active",
        len(DATA),
        "kept",
        1,
        ["a"],
    )
    assert image.checksum == hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    assert (image.os_hash_algo, image.os_hash_value) == ("sha256", hashlib.sha256(DATA).hexdigest())
    assert b"".join(alice.glance.images.data(image.id)) == DATA


def test_a_generator_uploads_through_the_session(alice: Clients) -> None:
    def pieces() -> Iterator[bytes]:
        yield from (DATA[at : at + 100_000] for at in range(0, len(DATA), 100_000))

    image = alice.glance.images.create(name="x", disk_format="raw", container_format="bare")
    url = f"{alice.session.get_endpoint(service_type='image')}/v2/images/{image.id}/file"
    alice.session.put(url, data=pieces(), headers={"Content-Type": "application/octet-stream"})

    assert alice.glance.images.get(image.id).size == len(DATA)
    assert b"".join(alice.glance.images.data(image.id)) == DATA


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("bytes=5-9", DATA[5:10]), ("bytes=1048570-1048590", DATA[1048570:1048591]), ("bytes=-7", DATA[-7:])],
)
def test_ranges(alice: Clients, asked: str, expected: bytes) -> None:
    image = alice.image(io.BytesIO(DATA))
    url = f"{alice.session.get_endpoint(service_type='image')}/v2/images/{image.id}/file"
    answer = alice.session.get(url, headers={"Range": asked})

    assert (answer.status_code, answer.content) == (206, expected)


def test_an_image_without_data(alice: Clients) -> None:
    image = alice.glance.images.create(name="x", disk_format="raw", container_format="bare")

    assert image.status == "queued"
    assert alice.glance.images.data(image.id).wrapped is None


def test_a_failing_source_leaves_the_image_queued(alice: Clients) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            if not data:
                raise OSError("the source broke")
            return data

    image = alice.glance.images.create(name="x", disk_format="raw", container_format="bare")
    with pytest.raises(exc.CommunicationError, match="the source broke"):
        alice.glance.images.upload(image.id, Broken(DATA))

    alice.settled(alice.glance.images, image.id, "queued")
    alice.glance.images.upload(image.id, io.BytesIO(DATA))
    assert alice.glance.images.get(image.id).size == len(DATA)


def test_data_can_be_uploaded_once(alice: Clients) -> None:
    image = alice.image(b"first")
    with pytest.raises(exc.HTTPConflict):
        alice.glance.images.upload(image.id, io.BytesIO(b"second"))


def test_read_only_attributes(alice: Clients) -> None:
    answer = alice.session.patch(
        f"{alice.session.get_endpoint(service_type='image')}/v2/images/{alice.image().id}",
        json=[{"op": "replace", "path": "/status", "value": "queued"}],
        headers={"Content-Type": "application/openstack-images-v2.1-json-patch"},
        raise_exc=False,
    )
    assert answer.status_code == 403
    assert "read-only" in answer.text


def test_update(alice: Clients) -> None:
    image = alice.image(custom="old", other="gone")
    alice.glance.images.update(image.id, remove_props=["other"], name="new", custom="new", added="yes", protected=True)

    image = alice.glance.images.get(image.id)
    assert (image.name, image.custom, image.added, "other" in image) == ("new", "new", "yes", False)
    with pytest.raises(exc.HTTPForbidden):
        alice.glance.images.delete(image.id)
    with pytest.raises(exc.HTTPForbidden):
        alice.glance.images.update(image.id, visibility="public")


@pytest.mark.parametrize(
    "values",
    [{"disk_format": "none-such"}, {"id": "no-uuid"}, {"min_disk": -1}, {"visibility": "everybody"}, {"custom": 5}],
)
def test_invalid_values_are_refused(alice: Clients, values: dict[str, object]) -> None:
    url = f"{alice.session.get_endpoint(service_type='image')}/v2/images"
    assert alice.session.post(url, json={"name": "x", **values}, raise_exc=False).status_code == 400


def test_filters(alice: Clients) -> None:
    red, blue = alice.image(b"r", name="red", colour="red"), alice.image(b"b", name="blue", colour="blue")

    def ids(**filters: str) -> list[str]:
        return [image.id for image in alice.glance.images.list(filters=filters)]

    assert ids(name="red") == ids(colour="red") == [red.id]
    assert ids(status="active", owner=alice.session.get_project_id(), colour="blue") == [blue.id]
    assert ids(visibility="private") == []
    assert ids(id=f"in:{red.id}") == [red.id]


def test_pages(alice: Clients) -> None:
    created = [alice.glance.images.create(name=f"i{n}").id for n in range(5)]
    listed = [image.id for image in alice.glance.images.list(page_size=2, sort="name:asc")]
    assert listed == created


def test_a_private_image_is_not_found_by_other_projects(alice: Clients, bob: Clients, admin: Clients) -> None:
    image = alice.image(visibility="private")

    for call in (bob.glance.images.get, bob.glance.images.delete, bob.glance.images.data):
        with pytest.raises(exc.HTTPNotFound):
            call(image.id)
    assert list(bob.glance.images.list()) == []
    assert admin.glance.images.get(image.id).owner == alice.session.get_project_id()


def test_a_public_image_is_visible_to_all_but_only_its_owner_can_change_it(admin: Clients, bob: Clients) -> None:
    image = admin.image(visibility="public")

    assert [listed.id for listed in bob.glance.images.list()] == [image.id]
    assert b"".join(bob.glance.images.data(image.id)) == b"image bytes"
    with pytest.raises(exc.HTTPForbidden):
        bob.glance.images.delete(image.id)
    with pytest.raises(exc.HTTPForbidden):
        bob.glance.images.create(name="mine", visibility="public")


def test_deletion_removes_the_data(cloud: Sandbox, alice: Clients, tmp_path: object) -> None:
    image = alice.image()
    alice.glance.images.delete(image.id)

    with pytest.raises(exc.HTTPNotFound):
        alice.glance.images.get(image.id)
    assert list((tmp_path / "cloud" / "images").iterdir()) == []
