"""A tenant and a browser: real Horizon on a sandbox cloud with the services, and Chromium.

Skipped where Chromium is not installed. ``KARBOR_LIKE_SCREENSHOTS`` names a directory for pictures of all panels.
"""

import os
import pathlib
import shutil
import time
from collections.abc import Iterator
from typing import Any

import live
import pytest
from cinderclient import client as cinder
from keystoneauth1 import session
from keystoneauth1.identity import v3
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions as conditions
from selenium.webdriver.support import ui

#: Seconds that a page or an operation may take on a busy machine.
PATIENCE = 300

PANELS = (
    "",
    "plans/",
    "checkpoints/",
    "restores/",
    "schedules/",
    "verifications/",
    "operation_logs/",
    "quotas/",
    "providers/",
)

pytestmark = pytest.mark.skipif(shutil.which("chromedriver") is None, reason="Chromium is not installed")


class Browser:
    """A browser that is logged in to Horizon."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver, self.address = driver, address

    def open(self, path: str) -> None:
        self.driver.get(self.address + path)

    def wait(self, css: str) -> Any:
        """Wait until an element can be seen, and return it."""
        located = conditions.visibility_of_element_located((By.CSS_SELECTOR, css))
        return ui.WebDriverWait(self.driver, PATIENCE).until(located)

    def click(self, css: str) -> None:
        """Wait until an element can be clicked, and click it."""
        condition = conditions.element_to_be_clickable((By.CSS_SELECTOR, css))
        element = ui.WebDriverWait(self.driver, PATIENCE).until(condition)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def fill(self, name: str, text: str) -> None:
        field = self.wait(f"[name={name}]")
        field.clear()
        field.send_keys(text)

    def until(self, text: str) -> None:
        """Wait until the page has a text, which it gets without being loaded again."""
        seen = lambda driver: text in driver.find_element(By.TAG_NAME, "body").text  # noqa: E731
        ui.WebDriverWait(self.driver, PATIENCE).until(seen, f"{text!r} is not on the page")

    def picture(self, name: str) -> None:
        directory = os.environ.get("KARBOR_LIKE_SCREENSHOTS")
        if directory:
            pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(f"{directory}/{name}.png")

    def errors(self) -> list[str]:
        """Return the errors of the console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of Horizon, and the environment of a tenant; those of KARBOR_LIKE_HORIZON if one runs already."""
    known = os.environ.get("KARBOR_LIKE_HORIZON")
    if known:
        yield known, dict(os.environ)
        return
    directory = tmp_path_factory.mktemp("live")
    with live.services(directory) as environment, live.horizon(directory, environment["OS_AUTH_URL"]) as address:
        yield address, environment


@pytest.fixture
def volume(running: tuple[str, dict[str, str]]) -> Any:
    """A volume of the tenant."""
    environment = running[1]
    auth = v3.Password(
        auth_url=environment["OS_AUTH_URL"],
        username=environment["OS_USERNAME"],
        password=environment["OS_PASSWORD"],
        project_name=environment["OS_PROJECT_NAME"],
        user_domain_id=environment["OS_USER_DOMAIN_ID"],
        project_domain_id=environment["OS_PROJECT_DOMAIN_ID"],
    )
    client = cinder.Client("3.66", session=session.Session(auth=auth))
    created = client.volumes.create(1, name="<b>data</b>")
    end = time.monotonic() + PATIENCE
    while created.status != "available" and time.monotonic() < end:
        time.sleep(0.5)
        created = client.volumes.get(created.id)
    return created


@pytest.fixture
def browser(running: tuple[str, dict[str, str]], tmp_path: pathlib.Path) -> Iterator[Browser]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1400,1000", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    driver.set_page_load_timeout(PATIENCE)
    address, environment = running
    try:
        made = Browser(driver, address)
        made.open("/auth/login/")
        made.fill("username", environment["OS_USERNAME"])
        made.fill("password", environment["OS_PASSWORD"])
        made.click("#loginBtn")
        made.wait("#sidebar, .sidebar, nav")
        yield made
    finally:
        driver.quit()


def test_a_volume_is_protected_and_restored(browser: Browser, volume: Any) -> None:
    _create_plan(browser, volume)
    checkpoint = _protect(browser)
    _restore(browser, checkpoint)
    for panel in PANELS:
        browser.open(f"/data_protection/{panel}")
        browser.wait("#content_body")
        browser.picture(panel.strip("/") or "overview")
    browser.open("/data_protection/checkpoints/calendar/")
    browser.until(" available")
    browser.picture("calendar")
    assert browser.errors() == []


def _create_plan(browser: Browser, volume: Any) -> None:
    browser.open("/data_protection/plans/create/")
    browser.fill("name", "<i>nightly</i>")
    browser.picture("wizard-1-details")
    browser.click(".button-next")
    browser.click(f"input[name=resources][value$='{volume.id}']")
    browser.picture("wizard-2-resources")
    browser.click(".button-next")
    browser.wait("[name=provider_id]")
    browser.picture("wizard-3-provider")
    browser.click(".button-next")
    ui.Select(browser.wait("[name=when]")).select_by_value("daily")
    browser.fill("at", "02:30")
    browser.fill("daily", "7")
    browser.picture("wizard-4-schedule")
    browser.click(".button-next")
    browser.until("<i>nightly</i>")
    browser.picture("wizard-5-review")
    browser.click(".button-final")
    browser.until("Created the plan")
    browser.picture("plan-created")


def _protect(browser: Browser) -> str:
    """Protect the plan, watch until it is available, and return the address of the checkpoint."""
    plan = browser.driver.find_element(By.LINK_TEXT, "<i>nightly</i>").get_attribute("href")
    browser.driver.get(f"{plan}protect/")
    browser.picture("protect")
    browser.click("#karbor_like_form input[type=submit], form input.btn-primary[type=submit]")
    browser.wait("tr[data-object-id]")
    browser.picture("checkpoint-running")
    link = browser.driver.find_element(By.CSS_SELECTOR, "tr[data-object-id] td a")
    checkpoint = str(link.get_attribute("href"))
    browser.driver.get(checkpoint)
    browser.picture("checkpoint-progress")
    browser.until("Available")
    browser.driver.get(checkpoint)
    browser.picture("checkpoint")
    return checkpoint


def _restore(browser: Browser, checkpoint: str) -> None:
    provider_id, checkpoint_id = checkpoint.rstrip("/").split("/")[-2:]
    browser.open(f"/data_protection/restores/create/?provider={provider_id}&checkpoint={checkpoint_id}")
    browser.fill("name_prefix", "copy-")
    browser.click("#dp-check")
    browser.until("What the restore would do")
    browser.picture("restore-check")
    browser.click("#dp-start")
    browser.until("Restored resources")
    browser.until("Succeeded")
    browser.picture("restore")
