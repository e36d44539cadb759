"""Two tenants and a browser: real Horizon on a sandbox cloud with the services, and Chromium.

Skipped where Chromium is not installed. ``KARBOR_LIKE_SCREENSHOTS`` names a directory for pictures of all panels.
"""

import os
import pathlib
import shutil
from collections.abc import Iterator

import live
import pytest
from cinderclient import client as cinder
from pages import Browser, chromium, until

from tests.fixtures.small_volumes import SMALL_GIB, SmallVolumes

#: All panels of a tenant, below ``/data_protection/``.
PANELS = (
    "",
    "plans/",
    "checkpoints/",
    "checkpoints/calendar/",
    "restores/",
    "schedules/",
    "schedules/triggers/",
    "verifications/",
    "operation_logs/",
    "quotas/",
    "providers/",
)
PLAN = "<i>nightly</i>"
VOLUME = "<b>data</b>"
SCHEDULE = "each-minute"

#: Bytes of a volume after which its protection pauses.
PART = SMALL_GIB // 3

# With CI, a missing Chromium is a failure.
pytestmark = pytest.mark.skipif(
    shutil.which("chromedriver") is None and "CI" not in os.environ, reason="Chromium is not installed"
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, live.Services]]:
    """The address of Horizon, and the services."""
    directory = tmp_path_factory.mktemp("live")
    plugin = f"{SmallVolumes.__module__}:{SmallVolumes.__name__}"
    with (
        live.services(directory, plugin) as services,
        live.horizon(directory, services.cloud.auth_url) as address,
    ):
        services.publish()
        yield address, services


@pytest.fixture
def volume(running: tuple[str, live.Services]) -> str:
    """The id of a volume of the tenant, full of data."""
    cloud = running[1].cloud
    cloud.settings(gib=SMALL_GIB)
    client = cinder.Client("3.66", session=cloud.session("alice"))
    made = client.volumes.create(1, name=VOLUME).id
    until(lambda: client.volumes.get(made).status == "available", "the volume is not available")
    cloud.write_volume(made, os.urandom(SMALL_GIB))
    return str(made)


@pytest.fixture
def browser(running: tuple[str, live.Services], tmp_path: pathlib.Path) -> Iterator[Browser]:
    with chromium(running[0], tmp_path) as made:
        yield made


def test_a_tenant_protects_and_restores_a_volume(
    browser: Browser, volume: str, running: tuple[str, live.Services]
) -> None:
    services = running[1]
    browser.log_in("alice", "secret")
    _create_plan(browser, volume)
    checkpoint = _protect(browser, services)
    _schedule(browser)
    _restore(browser, checkpoint)
    _see_the_run(browser)
    for panel in PANELS:
        browser.open(f"/data_protection/{panel}")
        browser.wait("#content_body")
        browser.picture(f"panel-{panel.strip('/').replace('/', '-') or 'overview'}")
    _delete(browser, checkpoint)
    assert browser.errors() == []

    browser.log_in("bob", "secret")
    for panel in PANELS:
        browser.open(f"/data_protection/{panel}")
        text = browser.wait("#content_body").text
        assert "nightly" not in text, panel
        assert SCHEDULE not in text, panel
        assert volume not in text, panel
    browser.open(checkpoint)
    browser.until("Unable to show the checkpoint")
    browser.picture("other-tenant")
    assert browser.errors() == []

    services.stop()
    for panel in ("", "plans/"):
        browser.open(f"/data_protection/{panel}")
        browser.until("The data protection service does not answer. Try again later.")
    browser.picture("service-stopped")
    assert browser.errors() == []


def _create_plan(browser: Browser, volume: str) -> None:
    browser.open("/data_protection/plans/create/")
    browser.fill("name", PLAN)
    browser.picture("wizard-1-details")
    browser.click(".button-next")
    browser.click(f"input[name=resources][value$='{volume}']")
    browser.picture("wizard-2-resources")
    browser.click(".button-next")
    browser.choose("provider_id", "files")
    browser.picture("wizard-3-provider")
    browser.click(".button-next")
    browser.choose("when", "Every day")
    browser.fill("at", "02:30")
    browser.fill("daily", "7")
    browser.picture("wizard-4-schedule")
    browser.click(".button-next")
    browser.until(PLAN)
    browser.picture("wizard-5-review")
    browser.click(".button-final")
    browser.until("Created the plan")
    browser.picture("plan-created")


def _protect(browser: Browser, services: live.Services) -> str:
    """Protect the plan, watch until it is available, and return the path of the checkpoint."""
    # The image with the data of the volume is read in part, until the fault is cleared.
    services.cloud.fault(service="image", method="GET", path="/file$", kind="stall", after_bytes=PART, times=0)
    browser.click_link(PLAN)
    browser.until("The plan has no schedule", present=False)
    browser.picture("plan")
    browser.act("Protect Now")
    browser.until("Leave out resources that do not exist")
    browser.picture("protect")
    browser.submit()
    browser.until("The plan is being protected")
    browser.picture("checkpoint-running")
    browser.click("tr[data-object-id] td a")
    bar = ".dp-progress .progress-bar[aria-valuenow]:not([aria-valuenow='0'])"
    browser.wait(bar)
    assert 0 < int(browser.wait(bar).get_attribute("aria-valuenow")) < 100
    assert "Cancel" in browser.actions()
    browser.picture("checkpoint-progress")
    services.cloud.clear_faults()
    # Without loading the page again.
    browser.until("Available")
    until(lambda: "Restore" in browser.actions() and "Cancel" not in browser.actions(), "the actions stay the same")
    browser.picture("checkpoint")
    return browser.path()


def _schedule(browser: Browser) -> None:
    browser.open("/data_protection/schedules/")
    browser.picture("schedules")
    browser.click("#schedules__action_create")
    browser.fill("name", SCHEDULE)
    browser.choose("when", "A crontab pattern")
    browser.fill("pattern", "* * * * *")
    browser.fill("max_backups", "3")
    browser.picture("schedule-create")
    browser.submit()
    browser.until("The schedule was created")
    browser.until("max_backups: 3")


def _restore(browser: Browser, checkpoint: str) -> None:
    browser.open(checkpoint)
    browser.act("Restore")
    browser.fill("name_prefix", "copy-")
    browser.picture("restore-create")
    browser.click("#dp-check")
    browser.until("What the restore would do")
    browser.picture("restore-check")
    browser.click("#dp-start")
    browser.until("Restored resources")
    browser.until("Succeeded")
    until(lambda: "Cancel Restore" not in browser.actions(), "the actions stay the same")
    browser.picture("restore")
    browser.click("a[href*='/volumes/']")
    browser.until(f"copy-{VOLUME}")
    browser.picture("restored-volume")


def _see_the_run(browser: Browser) -> None:
    browser.open("/data_protection/operation_logs/")
    rows = browser.rows
    until(
        lambda: any("Schedule" in row and "Available" in row for row in rows("operation_logs")),
        "the schedule has no run",
        browser,
    )
    browser.open("/data_protection/schedules/")
    browser.click_link(SCHEDULE)
    browser.wait("#content_body")
    browser.picture("schedule")


def _delete(browser: Browser, checkpoint: str) -> None:
    browser.open("/data_protection/schedules/")
    browser.delete_all("schedules")
    browser.open(checkpoint)
    browser.act("Delete Checkpoint")
    browser.confirm()
    browser.until("Requested the deletion of")
    browser.picture("checkpoint-deleted")
    browser.open("/data_protection/plans/")
    browser.delete_all("plans")
    browser.picture("plans-deleted")
