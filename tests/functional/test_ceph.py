"""The cluster of Ceph that tests use: what its users may do."""

import contextlib
import json
import subprocess

import pytest

from tests.cloud.ceph import CINDER, POOL, QEMU_READER, READER, WRITER


@pytest.fixture
def image(ceph):
    name = f"{POOL}/capabilities"
    ceph.rbd("create", "--size", "8M", name, user=CINDER)
    ceph.rbd("snap", "create", "--no-progress", f"{name}@then", user=CINDER)
    yield name
    ceph.rbd("snap", "purge", "--no-progress", name, user=CINDER)
    ceph.rbd("rm", "--no-progress", name, user=CINDER)


@contextlib.contextmanager
def opened(ceph, user: str, **how):
    import rados
    import rbd

    with (
        rados.Rados(conffile=str(ceph.conf), rados_id=user) as cluster,
        cluster.open_ioctx(POOL) as pool,
        rbd.Image(pool, "capabilities", **how) as image,
    ):
        yield image


@pytest.mark.parametrize("user", [CINDER, WRITER])
def test_writers_write(ceph, image, user):
    with opened(ceph, user) as opened_image:
        opened_image.write(b"new", 4096)
        assert opened_image.read(4096, 3) == b"new"
    with opened(ceph, READER, snapshot="then", read_only=True) as snapshot:
        assert snapshot.read(4096, 3) == bytes(3)


@pytest.mark.parametrize("user", [READER, QEMU_READER])
def test_readers_cannot_write(ceph, image, user):
    import rados

    data = f"{json.loads(ceph.rbd('info', '--format', 'json', image))['block_name_prefix']}.{0:016x}"
    with (
        rados.Rados(conffile=str(ceph.conf), rados_id=user) as cluster,
        cluster.open_ioctx(POOL) as pool,
        pytest.raises(rados.PermissionError),
    ):
        pool.write(data, b"new")


def test_qemu_reads_a_snapshot_with_the_user_that_is_meant_for_it(ceph, image):
    def read(user: str) -> "subprocess.CompletedProcess[str]":
        url = f"rbd:{image}@then:conf={ceph.conf}:id={user}"
        return subprocess.run(
            ["qemu-io", "-r", "-f", "raw", "-c", "read -P 0 0 8M", url], check=False, capture_output=True, text=True
        )

    done = read(QEMU_READER)
    assert done.returncode == 0, done.stderr
    assert read(READER).returncode != 0
    assert ceph.watchers("capabilities") == []
