"""Persistence of the state, and resolution of interrupted jobs."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from karbor_like.sandbox.cloud import Connection, Sandbox
from karbor_like.sandbox.errors import StateInUse
from tests.functional.sandbox.conftest import GIBIBYTE, Clients, waiter


def test_the_state_survives_a_restart(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as cloud:
        cloud.settings(gib=GIBIBYTE, endpoints={"data-protect": "http://127.0.0.1:1/v1/%(project_id)s"})
        alice = Clients(cloud, "alice")
        image, volume = alice.image(b"bytes", custom="c"), alice.volume(name="v")
        cloud.write_volume(volume.id, b"data")
        digest = cloud.volume_digest(volume.id)
        alice.swift.put_container("c")
        alice.swift.put_object("c", "o", b"object")
        token, user = alice.session.get_token(), alice.session.get_user_id()

    with Sandbox(tmp_path) as cloud:
        alice = Clients(cloud, "alice")
        assert alice.session.get_user_id() == user
        assert b"".join(alice.glance.images.data(image.id)) == b"bytes"
        assert alice.glance.images.get(image.id).custom == "c"
        assert alice.cinder.volumes.get(volume.id).name == "v"
        assert cloud.volume_digest(volume.id) == digest
        assert alice.swift.get_object("c", "o")[1] == b"object"
        assert alice.session.get_endpoint(service_type="data-protect").startswith("http://127.0.0.1:1/v1/")
        shown = alice.session.get(f"{cloud.auth_url}/auth/tokens", headers={"X-Subject-Token": token})
        assert shown.status_code == 200


def test_a_restart_resolves_transitional_states(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as cloud:
        alice = Clients(cloud, "alice")
        going, uploading, kept = alice.volume(), alice.volume(), alice.volume()
        cloud.fault(service="volume", kind="hold", times=0, method="POST")
        cloud.fault(service="volume", kind="hold", times=0, method="DELETE")
        creating = alice.cinder.volumes.create(1)
        alice.cinder.volumes.delete(going.id)
        alice.cinder.volumes.upload_to_image(uploading.id, False, "i", "bare", "raw", "private", False)
        snapshot = alice.cinder.volume_snapshots.create(kept.id)

    with Sandbox(tmp_path) as cloud:
        alice = Clients(cloud, "alice")
        found = {volume.id: volume.status for volume in alice.cinder.volumes.list()}
        assert found == {creating.id: "error", uploading.id: "available", kept.id: "available"}
        assert alice.cinder.volume_snapshots.get(snapshot.id).status == "error"


def test_a_directory_is_used_by_one_sandbox(tmp_path: Path) -> None:
    with Sandbox(tmp_path), pytest.raises(StateInUse, match="another sandbox uses it"):
        Sandbox(tmp_path)


def test_closing_does_not_wait_for_stalled_calls(tmp_path: Path) -> None:
    cloud = Sandbox(tmp_path)
    alice = Clients(cloud, "alice")
    image = alice.image(io.BytesIO(os.urandom(1 << 22)))
    download = iter(alice.glance.images.data(image.id, do_checksum=False))
    next(download)
    cloud.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_sandbox_can_run_as_a_process(tmp_path: Path, number: signal.Signals) -> None:
    process, cloud = start(tmp_path)
    try:
        cloud.settings(gib=GIBIBYTE)
        volume = Clients(cloud, "alice").volume()
        cloud.write_volume(volume.id, b"data")
        digest = cloud.volume_digest(volume.id)
    finally:
        process.send_signal(number)
        code = process.wait(240)
    assert code == (0 if number == signal.SIGTERM else -number)

    process, cloud = start(tmp_path)
    try:
        waiter().until(
            "the bytes",
            lambda: cloud.volume_digest(volume.id),
            done=lambda found: found == digest,
        )
    finally:
        process.terminate()
        process.wait(240)


def start(state: Path) -> tuple[subprocess.Popen[str], Connection]:
    command = [sys.executable, "-m", "karbor_like.sandbox", "--state", str(state)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline() if process.stdout else ""
    return process, Connection(line.strip().rpartition("=")[2].removesuffix("/identity/v3"))
