"""A browser on Horizon. All waits are for conditions, with a limit that no machine needs."""

import contextlib
import os
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from selenium import webdriver
from selenium.common import exceptions
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import ui

#: Seconds that a page or an operation may take on a busy machine.
PATIENCE = 300

#: How often the key Tab is pressed at most, to get from one field of a form to another.
_MOST_STOPS = 60

#: Returns what keeps users of a keyboard or of a screen reader from using what is shown, as texts.
_OBSTACLES = """
const found = [];
const shown = each => each.getClientRects().length > 0;
const name = each => each.outerHTML.slice(0, 160);
// What Horizon draws around the page is not ours.
const roots = document.querySelectorAll('#content_body, .modal.in');
const labelled = each => {
  const ids = (each.getAttribute('aria-labelledby') || '').split(' ').filter(Boolean);
  const texts = [each.getAttribute('aria-label'), ...[...each.labels || []].map(label => label.textContent),
                 ...ids.map(id => (document.getElementById(id) || {}).textContent)];
  return texts.some(text => text && text.trim());
};
roots.forEach(root => {
  root.querySelectorAll('input, select, textarea').forEach(each => {
    const visible = shown(each) || [...each.labels || []].some(shown);
    if (visible && !['hidden', 'submit', 'button'].includes(each.type) && !labelled(each)) {
      found.push('no label: ' + name(each));
    }
  });
  root.querySelectorAll('input[type=checkbox]').forEach(each => {
    if (!shown(each) && [...each.labels || []].some(shown)) {
      found.push('cannot be reached with the keyboard: ' + name(each));
    }
  });
  root.querySelectorAll('[tabindex]').forEach(each => {
    if (each.tabIndex > 0) { found.push('its own place in the order of the focus: ' + name(each)); }
  });
  root.querySelectorAll('[onclick], [role=button], .btn').forEach(each => {
    const usable = each.matches('button, input, a[href]') || each.tabIndex === 0;
    if (shown(each) && !usable) { found.push('cannot be reached with the keyboard: ' + name(each)); }
  });
  root.querySelectorAll('button, a[href]').forEach(each => {
    const text = each.textContent.trim() || each.getAttribute('aria-label') || each.title;
    // Horizon adds these: to fields of numbers, which the arrow keys change too, and to dialogs, which have "Cancel".
    if (shown(each) && !text && !each.matches('.themable-spinner-btn, .close')) { found.push('no name: ' + name(each)); }
  });
});
return found;
"""

#: Seconds after which what keeps users from a page is not the work of scripts that have not run yet.
_SETTLING = 30
#: What a page may do between two looks at it.
_CHANGES = (exceptions.NoSuchElementException, exceptions.StaleElementReferenceException)


def until(condition: Callable[[], Any], message: str, reload: "Browser | None" = None) -> Any:
    """Wait until a condition holds, and return what it returned.

    :param reload: a browser that loads its page again before each further look
    :raises AssertionError: it does not hold in time
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(*_CHANGES):
            found = condition()
            if found:
                return found
        time.sleep(0.1)
        if reload is not None:
            reload.driver.refresh()
    raise AssertionError(message)


class Browser:
    """A browser.

    :ivar obstacles: what :meth:`look` has noted
    :param address: of Horizon
    """

    def __init__(self, driver: Any, address: str) -> None:
        self.driver, self.address = driver, address
        self.obstacles: list[str] = []

    def open(self, path: str) -> None:
        """Load a page."""
        self.driver.get(self.address + path)

    def path(self) -> str:
        """Return the path of the page."""
        return str(self.driver.current_url).removeprefix(self.address)

    def log_in(self, user: str, password: str) -> None:
        """Log in as a user, instead of another one if there is one."""
        self.driver.delete_all_cookies()
        self.open("/auth/login/")
        self.fill("username", user)
        self.fill("password", password)
        self.click("#loginBtn")
        self.wait("#sidebar")

    def wait(self, css: str) -> Any:
        """Wait until an element can be seen, and return it."""
        return until(lambda: self._visible(css), f"{css} cannot be seen")

    def _visible(self, css: str) -> Any:
        return next((each for each in self.driver.find_elements(By.CSS_SELECTOR, css) if each.is_displayed()), None)

    def click(self, css: str) -> None:
        """Wait until an element can be clicked, and click it."""
        self._click(lambda: self._visible(css), css)

    def click_link(self, text: str) -> None:
        """Wait until a link with this text can be clicked, and click it."""
        self._click(lambda: self.driver.find_element(By.LINK_TEXT, text), text)

    def _click(self, find: Callable[[], Any], name: str) -> None:
        def clicked() -> bool:
            element = find()
            if element is None or not element.is_enabled():
                return False
            self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
            try:
                element.click()
            except (exceptions.ElementClickInterceptedException, exceptions.ElementNotInteractableException):
                # A dialog or a menu is being opened or closed.
                return False
            return True

        until(clicked, f"{name} cannot be clicked")

    def fill(self, name: str, text: str) -> None:
        """Enter a text in a field, which is not one of the filters of a list."""
        field = self.wait(f"form:not(.dp-filters) [name={name}]")
        field.clear()
        field.send_keys(text)

    def choose(self, name: str, text: str) -> None:
        """Choose an item of a list by its text."""
        ui.Select(self.wait(f"select[name={name}]")).select_by_visible_text(text)

    def choose_labelled(self, label: str, text: str) -> None:
        """Choose an item of the list with this label by its text."""
        found = self.driver.find_element(By.XPATH, f"//label[normalize-space()='{label}']")
        ui.Select(self.driver.find_element(By.ID, found.get_attribute("for"))).select_by_visible_text(text)

    def submit(self) -> None:
        """Submit the form of a dialog or page."""
        self.click("form .modal-footer input[type=submit]")

    def actions(self) -> list[str]:
        """Return the actions of the object of a page, also those of a menu that is closed."""
        found = self.driver.find_elements(By.CSS_SELECTOR, ".detail-actions button, .detail-actions a")
        return [text for text in (each.get_attribute("textContent").strip() for each in found) if text]

    def act(self, action: str) -> None:
        """Click an action of the object of a page."""

        def find() -> Any:
            for each in self.driver.find_elements(By.CSS_SELECTOR, ".detail-actions button, .detail-actions a"):
                if each.get_attribute("textContent").strip() == action:
                    if not each.is_displayed():
                        self.driver.find_element(By.CSS_SELECTOR, ".detail-actions .dropdown-toggle").click()
                    return each
            return None

        self._click(find, action)

    def delete_all(self, table: str) -> None:
        """Delete all objects of a list, and confirm it."""
        # Horizon hides the check box itself.
        self.click(f"#{table} thead .themable-checkbox label")
        self.click(f"#{table}__action_delete")
        self.confirm()
        until(lambda: not self.driver.find_elements(By.CSS_SELECTOR, f"#{table} tr[data-object-id]"), "rows stay")

    def confirm(self) -> None:
        """Confirm in the dialog of Horizon."""
        self.click(".modal-footer .btn-danger, .modal-footer a.btn-primary")

    def rows(self, table: str) -> list[str]:
        """Return the texts of the rows of a list."""
        return [row.text for row in self.driver.find_elements(By.CSS_SELECTOR, f"#{table} tbody tr")]

    def until(self, text: str, *, present: bool = True) -> None:
        """Wait until the page has a text, or has it no more."""
        until(lambda: (text in self.text()) == present, f"{text!r} is {'not ' if present else ''}on the page")

    def text(self) -> str:
        """Return the text of the page that can be seen."""
        return str(self.driver.find_element(By.TAG_NAME, "body").text)

    def look(self, name: str) -> None:
        """Keep a picture of the page, and note what keeps users from it who do not see it or have no mouse."""
        self.picture(name)
        end = time.monotonic() + _SETTLING
        # The scripts of a page name its elements after the browser has loaded it.
        while (found := self.driver.execute_script(_OBSTACLES)) and time.monotonic() < end:
            time.sleep(0.1)
        self.obstacles += [f"{name}: {each}" for each in found]

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, where the focus is."""
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def tab_to(self, css: str) -> None:
        """Press the key Tab until an element has the focus.

        :raises AssertionError: the key does not lead to it
        """
        script = "return document.activeElement.matches(arguments[0])"
        for _ in range(_MOST_STOPS):
            if self.driver.execute_script(script, css):
                return
            self.press(Keys.TAB)
        raise AssertionError(f"the key Tab does not lead to {css}")

    def picture(self, name: str) -> None:
        """Keep a picture of the page in the directory that ``KARBOR_LIKE_SCREENSHOTS`` names."""
        directory = os.environ.get("KARBOR_LIKE_SCREENSHOTS")
        if directory:
            path = pathlib.Path(directory)
            path.mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(path / f"{name}.png"))

    def errors(self) -> list[str]:
        """Return the errors of the console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@contextlib.contextmanager
def chromium(address: str, profile: pathlib.Path) -> Iterator[Browser]:
    """Run Debian's Chromium without a window.

    :param profile: an empty directory
    """
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1400,1000", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    driver.set_page_load_timeout(PATIENCE)
    browser = Browser(driver, address)
    try:
        yield browser
    finally:
        driver.quit()
