"""The user guide's commands, as they stand there, in the order in which they stand there."""

from tests.fixtures import guide
from tests.scenario.tenant import VOLUME, Tenant, until


def test_the_guide_s_commands_do_what_it_says(clients, target):
    given = {"PROVIDER_ID": target.provider, "VOLUME_ID": target.volume.id}
    script = f"{guide.script('user/guide.rst')}echo $RESTORE_ID"
    done = clients.run("bash", "-c", script, env={**target.environment("alice"), **given}, seconds=600)
    assert done.returncode == 0, done.stdout + done.stderr

    alice = Tenant(target.cloud, "alice")
    restore = alice.call("GET", f"/restores/{done.stdout.split()[-1]}")["restore"]
    assert restore["status"] == "success"
    ((made, status),) = restore["resources_status"].items()
    assert status == "available"
    volume_id = made.removeprefix(f"{VOLUME}#")
    assert target.cloud.volume_digest(volume_id) == target.cloud.volume_digest(target.volume.id)

    (operation,) = alice.call("GET", "/scheduled_operations")["operations"]
    assert operation["operation_type"] == "retention_protect"
    assert int(operation["operation_definition"]["max_backups"]) == 7
    (verification,) = [
        found
        for found in alice.call("GET", "/verifications")["verifications"]
        if found["checkpoint_id"] == restore["checkpoint_id"]
    ]
    path = f"/verifications/{verification['id']}"
    ended = until(lambda: alice.call("GET", path)["verification"], lambda found: found["status"] != "in_progress")
    assert ended["status"] == "success"

    alice.call("DELETE", f"/scheduled_operations/{operation['id']}")
    alice.call("DELETE", f"/triggers/{operation['trigger_id']}")
    alice.delete_volume(volume_id)
