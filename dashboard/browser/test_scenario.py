"""Two tenants and a browser: real Horizon on a sandbox cloud with the services, and Chromium.

Skipped where Chromium is not installed. ``KARBOR_LIKE_SCREENSHOTS`` names a directory for pictures of all panels.
"""

import dataclasses
import io
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence

import live
import pytest
from cinderclient import client as cinder
from glanceclient import client as glance
from novaclient import client as nova
from pages import Browser, chromium, until
from selenium.webdriver.common.keys import Keys

from karbor_like.clients.neutron import Neutron
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
#: Id of the smallest flavor.
FLAVOR = "1"
PLAN = "<i>nightly</i>"
SERVER = "<b>web</b>"
VOLUME = "<b>data</b>"
SCHEDULE = "each-night"

#: Bytes of a volume after which its protection pauses.
PART = SMALL_GIB // 3

#: The theme whose pictures are taken too.
DARK = "dark"


@dataclasses.dataclass(frozen=True)
class Workload:
    """The ids of what is protected."""

    server: str
    volume: str


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
        live.horizon(directory, services.cloud.auth_url, {DARK: pathlib.Path(__file__).parent / DARK}) as address,
    ):
        services.publish()
        yield address, services


@pytest.fixture
def workload(running: tuple[str, live.Services]) -> Workload:
    """A server of the tenant with a network, and with a volume that is full of data."""
    cloud = running[1].cloud
    cloud.settings(gib=SMALL_GIB)
    alice = cloud.session("alice")
    volumes, servers = cinder.Client("3.66", session=alice).volumes, nova.Client("2.60", session=alice).servers
    volume = str(volumes.create(1, name=VOLUME).id)
    until(lambda: volumes.get(volume).status == "available", "the volume is not available")
    cloud.write_volume(volume, os.urandom(SMALL_GIB))
    images = glance.Client("2", session=alice).images
    image = images.create(name="base", disk_format="raw", container_format="bare").id
    images.upload(image, io.BytesIO(bytes(1 << 20)))
    neutron = Neutron("2.0", session=alice, service_type="network")
    network = neutron.create("networks", {"name": "inner"})["id"]
    subnet = {"name": "inner-4", "network_id": network, "ip_version": 4, "cidr": "10.0.5.0/24", "enable_dhcp": False}
    neutron.create("subnets", subnet)
    port = neutron.create("ports", {"name": "web-port", "network_id": network})["id"]
    disk = {"uuid": volume, "source_type": "volume", "destination_type": "volume", "boot_index": -1}
    server = servers.create(SERVER, image, FLAVOR, nics=[{"port-id": port}], block_device_mapping_v2=[disk]).id
    until(lambda: servers.get(server).status == "ACTIVE", "the server is not active")
    return Workload(server, volume)


@pytest.fixture
def browser(running: tuple[str, live.Services], tmp_path: pathlib.Path) -> Iterator[Browser]:
    with chromium(running[0], tmp_path) as made:
        yield made


def test_a_tenant_protects_and_restores_a_server(
    browser: Browser, workload: Workload, running: tuple[str, live.Services]
) -> None:
    services = running[1]
    browser.log_in("alice", "secret")
    _create_plan(browser)
    checkpoint = _protect(browser, services)
    _schedule(browser)
    restore = _restore(browser, checkpoint)
    _see_the_run(browser)
    for panel in PANELS:
        browser.open(f"/data_protection/{panel}")
        browser.wait("#content_body")
        browser.look(f"panel-{panel.strip('/').replace('/', '-') or 'overview'}")
    _see_in_the_dark(
        browser,
        services.directory,
        [checkpoint, restore, "/data_protection/", "/data_protection/checkpoints/calendar/"],
    )
    _delete(browser, checkpoint)
    assert browser.errors() == []

    browser.log_in("bob", "secret")
    for panel in PANELS:
        browser.open(f"/data_protection/{panel}")
        text = browser.wait("#content_body").text
        assert "nightly" not in text, panel
        assert SCHEDULE not in text, panel
        assert workload.server not in text, panel
        assert workload.volume not in text, panel
    browser.open(checkpoint)
    browser.until("Unable to show the checkpoint")
    browser.look("other-tenant")
    assert browser.errors() == []

    services.stop()
    for panel in ("", "plans/"):
        browser.open(f"/data_protection/{panel}")
        browser.until("The data protection service does not answer. Try again later.")
    browser.look("service-stopped")
    assert browser.errors() == []
    assert browser.obstacles == []


def _create_plan(browser: Browser) -> None:
    """Create a plan of all that the project has with the keyboard alone. Each step has the focus in its first field."""
    browser.open("/data_protection/plans/create/")
    browser.tab_to("[name=name]")
    browser.press(PLAN)
    browser.look("wizard-1-details")
    _next(browser, "[name=resources]")
    browser.tab_to("[name=resources][value^='OS::Keystone::Project#']")
    browser.press(Keys.SPACE)
    browser.look("wizard-2-resources")
    _next(browser, "[name=provider_id]")
    browser.press("files")
    browser.look("wizard-3-provider")
    _next(browser, "[name=when]")
    browser.press("Every day")
    browser.tab_to("[name=at]")
    browser.press("02:30")
    browser.tab_to("[name=daily]")
    browser.press("7")
    browser.look("wizard-4-schedule")
    _next(browser, "[name=now]")
    browser.until(PLAN)
    browser.look("wizard-5-review")
    browser.tab_to(".button-final")
    browser.press(Keys.ENTER)
    browser.until("Created the plan")
    browser.look("plan-created")


def _next(browser: Browser, field: str) -> None:
    """Go to the next step of the wizard, whose first field has the focus then."""
    browser.tab_to(".button-next")
    browser.press(Keys.ENTER)
    script = "return document.activeElement.matches(arguments[0])"
    until(lambda: browser.driver.execute_script(script, field), f"{field} does not have the focus")


def _protect(browser: Browser, services: live.Services) -> str:
    """Protect the plan, watch until it is available, and return the path of the checkpoint."""
    # The image with the data of the volume is read in part, until the fault is cleared.
    services.cloud.fault(service="image", method="GET", path="/file$", kind="stall", after_bytes=PART, times=0)
    browser.click_link(PLAN)
    browser.until("The plan has no schedule", present=False)
    browser.look("plan")
    browser.act("Protect Now")
    browser.until("Leave out resources that do not exist")
    browser.look("protect")
    browser.submit()
    browser.until("The plan is being protected")
    browser.look("checkpoint-running")
    browser.click("tr[data-object-id] td a")
    bar = ".dp-progress .progress-bar[aria-valuenow]:not([aria-valuenow='0'])"
    browser.wait(bar)
    assert 0 < int(browser.wait(bar).get_attribute("aria-valuenow")) < 100
    assert "Cancel" in browser.actions()
    browser.look("checkpoint-progress")
    services.cloud.clear_faults()
    # Without loading the page again.
    browser.until("Available")
    until(lambda: "Restore" in browser.actions() and "Cancel" not in browser.actions(), "the actions stay the same")
    browser.look("checkpoint")
    return browser.path()


def _schedule(browser: Browser) -> None:
    browser.open("/data_protection/schedules/")
    browser.look("schedules")
    browser.click("#schedules__action_create")
    browser.fill("name", SCHEDULE)
    browser.choose("when", "A crontab pattern")
    browser.fill("pattern", "30 2 * * *")
    browser.fill("max_backups", "3")
    browser.look("schedule-create")
    browser.submit()
    browser.until("The schedule was created")
    browser.until("max_backups: 3")
    browser.click_link(SCHEDULE)
    # It would be due at night.
    browser.act("Run Now")
    browser.until(f"Started: {SCHEDULE}")


def _restore(browser: Browser, checkpoint: str) -> str:
    """Restore all of a checkpoint alongside what was protected, and return the path of the restore."""
    browser.open(checkpoint)
    browser.act("Restore")
    browser.fill("name_prefix", "copy-")
    # The original has its addresses.
    browser.choose_labelled("Server: Fixed IPs", "keep-or-new")
    offered = browser.driver.find_elements("css selector", "#dp-existing-flavors option")
    assert FLAVOR in [each.get_attribute("value") for each in offered]
    browser.look("restore-create")
    browser.click("#dp-check")
    browser.until("What the restore would do")
    browser.look("restore-check")
    browser.click("#dp-start")
    browser.until("Restored resources")
    browser.until("Succeeded")
    until(lambda: "Cancel Restore" not in browser.actions(), "the actions stay the same")
    restore = browser.path()
    browser.until(f"copy-{SERVER}")
    browser.look("restore")
    browser.click("a[href*='/volumes/']")
    browser.until(f"copy-{VOLUME}")
    browser.picture("restored-volume")
    return restore


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
    browser.look("schedule")


def _see_in_the_dark(browser: Browser, directory: pathlib.Path, pages: Sequence[str]) -> None:
    """Keep pictures of pages in a dark theme. The browser sends the cookie of the session to each port."""
    light = browser.address
    with live.themed(directory, DARK) as browser.address:
        for page in pages:
            browser.open(page)
            browser.wait("#content_body")
            browser.look(f"dark-{page.split('/')[2] or 'overview'}{'-calendar' if 'calendar' in page else ''}")
    browser.address = light


def _delete(browser: Browser, checkpoint: str) -> None:
    browser.open("/data_protection/schedules/")
    browser.delete_all("schedules")
    browser.open(checkpoint)
    browser.act("Delete Checkpoint")
    browser.confirm()
    browser.until("Requested the deletion of")
    browser.look("checkpoint-deleted")
    browser.open("/data_protection/plans/")
    browser.delete_all("plans")
    browser.look("plans-deleted")
