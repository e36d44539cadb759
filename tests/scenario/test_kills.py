"""An operator kills the protection service at random moments of protects and restores."""

import pytest

from tests.scenario.tenant import random_bytes
from tools import kill_services


@pytest.mark.once
@pytest.mark.turn(1)
def test_operations_are_completed_although_the_service_is_killed_at_random_moments(request, cloud, system, alice):
    volume = alice.volume("killed")
    cloud.write_volume(volume.id, random_bytes("killed", 8))
    digest = cloud.volume_digest(volume.id)

    def kill() -> None:
        system.kill()
        system.start()

    def check(volume_id: str) -> None:
        assert cloud.volume_digest(volume_id) == digest

    seed, times = request.config.getoption("--kill-seed"), request.config.getoption("--kills")
    print(f"seed {seed}")
    trial = kill_services.Trial(alice.session, system.provider, volume.id, kill, seed=seed, patience=600)
    before = trial.belongings()
    kills = trial.protects(times)
    assert all(each.is_good for each in kills), kill_services.report(kills)
    for each in kills:
        assert trial.verify(each.made)["status"] == "success"
    kills += trial.restores(kills[-1].made, times, check)
    print(kill_services.report(kills))
    assert all(each.is_good for each in kills), kill_services.report(kills)
    trial.delete([each.made for each in kills if each.operation == "protect"])
    assert trial.leftovers(before) == set()
    alice.delete_volume(volume.id)
