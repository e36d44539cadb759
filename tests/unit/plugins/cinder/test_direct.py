"""What backends of the direct plugin make of Cinder's answers, which must have the expected form."""

import json
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from karbor_like import exception
from karbor_like.datapath.errors import CannotOpen
from karbor_like.plugins.cinder.direct import brick, choice, iscsiunit, names
from karbor_like.plugins.cinder.direct.attached import AttachBackend
from karbor_like.plugins.cinder.direct.backend import StoredVolume
from karbor_like.plugins.cinder.direct.ceph import CephBackend, image_of
from karbor_like.plugins.cinder.direct.share import ShareBackend
from karbor_like.plugins.cinder.volume_direct import VolumeDirectProtection

ID = "6f1b2c3d-0000-4000-8000-000000000001"
OTHER = "6f1b2c3d-0000-4000-8000-000000000002"
SNAPSHOT = "6f1b2c3d-0000-4000-8000-000000000003"
VOLUME = StoredVolume(ID, ID, "cinder@ceph#pool", 1)
CONF = SimpleNamespace(
    rbd_conf="/etc/ceph/ceph.conf", rbd_user="reads", rbd_write_user="writes", rbd_map="exact", io_timeout=30
)
OVERLAY = f"volume-{ID}.{SNAPSHOT}"
CONTEXT = cast(Any, None)


def qcow2(backing: str, backing_format: str = "raw") -> bytes:
    """Return the header of a qcow2 file above another one."""
    name, kind = backing.encode(), backing_format.encode()
    extension = struct.pack(">II", 0xE2792ACA, len(kind)) + kind.ljust(-(-len(kind) // 8) * 8, b"\0") + bytes(8)
    at = 104 + len(extension)
    header = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, at, len(name), 16, 1 << 20, *[0] * 10, 4, 104)
    return (header + extension + name).ljust(65536, b"\0")


class TestNames:
    def test_migrated_volume(self) -> None:
        volume = SimpleNamespace(id=ID, **{"os-vol-mig-status-attr:name_id": OTHER})
        assert names.stored_id(volume) == OTHER
        assert names.stored_id(SimpleNamespace(id=ID, **{"os-vol-mig-status-attr:name_id": None})) == ID

    @pytest.mark.parametrize("name", [None, 7, "", "../x", f"{ID}\n", f"{ID}@x", ID.upper()])
    def test_ids(self, name: Any) -> None:
        for refused in (names.of_volume, names.of_snapshot):
            with pytest.raises(CannotOpen, match="unexpected"):
                refused(name)

    @pytest.mark.parametrize("name", [None, "", "-p", "a/b", "a@b", "p" * 200, "volumes\n"])
    def test_pools(self, name: Any) -> None:
        with pytest.raises(CannotOpen, match="no name of a pool"):
            names.pool(name)

    @pytest.mark.parametrize("name", [f"volume-{OTHER}", f"volume-{OTHER}.{ID}", f"volume-{ID}/..", f"x/volume-{ID}"])
    def test_files_of_others(self, name: str) -> None:
        with pytest.raises(CannotOpen):
            names.volume_file(name, ID)


class TestCeph:
    def test_image(self) -> None:
        image = image_of(CONF, VOLUME, {"driver_volume_type": "rbd", "name": f"volumes/volume-{ID}"}, "volumes")
        assert (image.pool, image.image, image.user) == ("volumes", f"volume-{ID}", "writes")

    @pytest.mark.parametrize(
        "connection",
        [
            {},
            {"driver_volume_type": "nfs", "name": f"volumes/volume-{ID}"},
            {"driver_volume_type": "rbd", "name": f"others/volume-{ID}"},
            {"driver_volume_type": "rbd", "name": f"volumes/volume-{OTHER}"},
            {"driver_volume_type": "rbd", "name": f"volumes/volume-{ID}@snap"},
            {"driver_volume_type": "rbd", "name": ["volumes"]},
        ],
    )
    def test_connection_to_something_else(self, connection: dict[str, Any]) -> None:
        with pytest.raises(CannotOpen):
            CephBackend(CONF, "volumes").open_writer(CONTEXT, VOLUME, connection)

    def test_host_without_a_configuration(self, tmp_path: Path) -> None:
        conf = SimpleNamespace(**{**vars(CONF), "rbd_conf": str(tmp_path / "none")})
        reason = CephBackend(conf, "volumes").obstacle(CONTEXT, VOLUME)
        assert reason == f"there is no file {tmp_path}/none on this host"

    def test_pool_is_needed(self) -> None:
        with pytest.raises(exception.ConfigurationError, match="PATTERN:rbd=volumes"):
            CephBackend(CONF, "")


class TestShare:
    @pytest.fixture
    def share(self, tmp_path: Path) -> Path:
        """A share, mounted below the directory, with a volume that has a snapshot."""
        share = tmp_path / "mounts" / "a1b2"
        share.mkdir(parents=True)
        (share / f"volume-{ID}").write_bytes(bytes(4096))
        (share / OVERLAY).write_bytes(qcow2(f"volume-{ID}"))
        (share / f"volume-{ID}.info").write_text(json.dumps({"active": OVERLAY, SNAPSHOT: OVERLAY}))
        return share

    def backend(self, share: Path) -> ShareBackend:
        return ShareBackend(CONF, str(share.parent))

    def refusal(self, share: Path) -> str:
        with pytest.raises(CannotOpen) as refused, self.backend(share).open_reader(CONTEXT, VOLUME, SNAPSHOT, CONTEXT):
            pass
        return refused.value.message

    @pytest.mark.parametrize(
        ("info", "reason"),
        [
            ("[" * 10_000, "cannot be read"),
            ("[]", "expected a JSON object"),
            ("{}", "is no name of a file"),
            (json.dumps({SNAPSHOT: 7}), "is no name of a file"),
            (json.dumps({SNAPSHOT: "/etc/passwd"}), "is no name of a file"),
            (json.dumps({SNAPSHOT: f"volume-{OTHER}"}), f"does not belong to volume {ID}"),
            (json.dumps({SNAPSHOT: f"volume-{ID}.{OTHER}"}), "cannot be opened"),
        ],
    )
    def test_description_that_is_wrong(self, share: Path, info: str, reason: str) -> None:
        (share / f"volume-{ID}.info").write_text(info)
        assert reason in self.refusal(share)

    @pytest.mark.parametrize(
        ("header", "reason"),
        [
            (b"raw bytes".ljust(65536), "not a qcow2 file"),
            (qcow2("/etc/passwd"), "is no name of a file"),
            (qcow2(f"volume-{OTHER}"), "does not belong"),
            (qcow2(f"volume-{ID}", "vmdk"), "states the format 'vmdk'"),
        ],
    )
    def test_header_that_is_wrong(self, share: Path, header: bytes, reason: str) -> None:
        (share / OVERLAY).write_bytes(header)
        assert reason in self.refusal(share)

    def test_link_to_a_file_elsewhere(self, share: Path) -> None:
        (share / OVERLAY).unlink()
        (share / OVERLAY).symlink_to("/etc/passwd")
        assert "cannot be opened" in self.refusal(share)

    def test_volume_that_is_not_there(self, share: Path) -> None:
        (share / f"volume-{ID}").unlink()
        assert "is neither in it nor in a directory below" in self.refusal(share)

    @pytest.mark.parametrize(
        "connection", [{"driver_volume_type": "rbd"}, {"driver_volume_type": "nfs", "format": "vmdk"}], ids=str
    )
    def test_connection_to_something_else(self, share: Path, connection: dict[str, Any]) -> None:
        with pytest.raises(CannotOpen, match="expected nfs or .*, raw or qcow2"):
            self.backend(share).open_writer(CONTEXT, VOLUME, connection)

    def test_directory_is_needed(self) -> None:
        with pytest.raises(exception.ConfigurationError, match="PATTERN:remotefs=/srv"):
            ShareBackend(CONF, "relative")


class TestIscsi:
    GOOD = {"target_portal": "10.0.0.1:3260", "target_iqn": "iqn.2010-10.org.openstack:volume-1", "target_lun": 1}

    def test_unit(self) -> None:
        unit = iscsiunit.unit_of({**self.GOOD, "auth_method": "CHAP", "auth_username": "u", "auth_password": "secret"})
        assert (unit.portal, unit.lun, unit.user, unit.password) == ("10.0.0.1:3260", 1, "u", "secret")
        assert "secret" not in repr(unit)
        assert iscsiunit.unit_of(self.GOOD).user is None

    @pytest.mark.parametrize(
        "wrong",
        [
            {"target_portal": "10.0.0.1:3260/x"},
            {"target_portal": None},
            {"target_iqn": "iqn.x/1,y"},
            {"target_lun": "1"},
            {"auth_method": "other"},
        ],
        ids=str,
    )
    def test_answer_that_is_wrong(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(CannotOpen, match="unexpected about an iSCSI target"):
            iscsiunit.unit_of({**self.GOOD, **wrong})


@pytest.mark.parametrize(("kind", "zero"), [("rbd", True), ("iscsi", False), ("fibre_channel", False)])
def test_zeros_of_new_volumes_that_are_attached(kind: str, zero: bool) -> None:
    """Zeros that are written into Ceph would let the volume take up all of its size there."""
    assert AttachBackend(CONF, "").zeroes_new({"driver_volume_type": kind}) == zero


@pytest.mark.skipif(brick.obstacle() is None, reason="os-brick is installed")
def test_device_without_os_brick() -> None:
    with (
        pytest.raises(CannotOpen, match="attaches by 'fibre_channel': os-brick is not installed"),
        brick.reader({"driver_volume_type": "fibre_channel"}, 1),
    ):
        pass


@pytest.mark.parametrize("open_", [brick.reader, brick.writer])
def test_file_that_is_no_device(open_: Any) -> None:
    """The path that os-brick returns is that of the qcow2 file, whose bytes are not those of the volume."""
    connection = {"driver_volume_type": "nfs", "export": "host:/share", "name": f"volume-{ID}", "format": "qcow2"}
    with pytest.raises(CannotOpen, match="'nfs' in the format 'qcow2'.*remotefs"), open_(connection, 1):
        pass


def test_rules() -> None:
    rules = choice.parse(
        ["dp@ceph:rbd=volumes", " dp@file : remotefs = /srv/x", "*:attach"], VolumeDirectProtection.kinds, CONF
    )
    found = {
        host: next((rule.backend.kind for rule in rules if rule.matches(host)), None)
        for host in ("dp@ceph#pool", "dp@ceph", "dp@file#x", "dp@cephalopod", None)
    }
    assert found == {
        "dp@ceph#pool": "rbd",
        "dp@ceph": "rbd",
        "dp@file#x": "remotefs",
        "dp@cephalopod": "attach",
        None: "attach",
    }
