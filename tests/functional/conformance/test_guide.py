"""The commands of the guides work as documented, in the documented order."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures import guide
from tests.fixtures.processes import environment
from tests.scenario.tenant import VOLUME, Tenant, until

#: Each command is a separate process, and the machine may be loaded.
_SECONDS = 1100
pytestmark = [pytest.mark.once, pytest.mark.turn(1), pytest.mark.timeout(_SECONDS + 100)]


def test_the_user_guide(clients, target):
    given = {"PROVIDER_ID": target.provider, "VOLUME_ID": target.volume.id}
    script = f"{guide.script('user/guide.rst')}echo $RESTORE_ID"
    done = clients.run("bash", "-c", script, env={**target.environment("alice"), **given}, seconds=_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr

    alice = Tenant(target.cloud, "alice")
    restore = alice.call("GET", f"/restores/{done.stdout.split()[-1]}")["restore"]
    assert restore["status"] == "success"
    ((key, status),) = restore["resources_status"].items()
    assert status == "available"
    volume_id = key.removeprefix(f"{VOLUME}#")
    assert target.cloud.volume_digest(volume_id) == target.cloud.volume_digest(target.volume.id)

    (operation,) = alice.call("GET", "/scheduled_operations")["operations"]
    assert operation["operation_type"] == "retention_protect"
    assert int(operation["operation_definition"]["max_backups"]) == 7
    (verification,) = [
        entry
        for entry in alice.call("GET", "/verifications")["verifications"]
        if entry["checkpoint_id"] == restore["checkpoint_id"]
    ]
    path = f"/verifications/{verification['id']}"
    ended = until(lambda: alice.call("GET", path)["verification"], lambda entry: entry["status"] != "in_progress")
    assert ended["status"] == "success"

    alice.call("DELETE", f"/scheduled_operations/{operation['id']}")
    alice.call("DELETE", f"/triggers/{operation['trigger_id']}")
    alice.delete_volume(volume_id)


def test_the_admin_guide_to_banks(target, tmp_path):
    alice = Tenant(target.cloud, "alice")
    plan = alice.plan(target.provider, (VOLUME, target.volume))
    checkpoint = alice.protected(plan)
    assert checkpoint["status"] == "available", checkpoint
    (tmp_path / ".karbor_like").mkdir()
    (tmp_path / ".karbor_like" / "karbor_like.conf").symlink_to(target.configuration)
    given = {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PROVIDER": target.provider_name,
        "CHECKPOINT_ID": checkpoint["id"],
        "RESOURCE": f"{VOLUME}#{target.volume.id}",
    }

    done = subprocess.run(
        ["bash", "-c", guide.script("admin/banks.rst")],
        cwd=tmp_path,
        env=environment(**given),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    digest = target.cloud.volume_digest(target.volume.id)
    assert (tmp_path / "volume.raw").stat().st_size == target.cloud.gib
    assert f"SHA-256 {digest}" in done.stdout, "digest of the data exported to the file"
    assert f"{digest}  -" in done.stdout, "digest of the data exported to sha256sum"
    assert "0 problems found" in done.stdout
