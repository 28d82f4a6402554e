"""A real browser (Debian's Chromium, with its driver), and the page that the command serves to it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.docs.pages import ROOT
from tests.inspect.recording import WINDOW
from tests.waiting import wait_until

__all__ = ["Browser", "Keys", "browser_is_missing", "served"]

_BROWSER, _DRIVER = "chromium", "chromedriver"
_WIDE, _HIGH = 1200, 900
_LOADED = 30.0  # seconds, for a machine that is busy


def browser_is_missing() -> str:
    """Why there is no browser here, empty if there is one."""
    missing = [name for name in (_BROWSER, _DRIVER) if shutil.which(name) is None]
    return f"{' and '.join(missing)} not installed" if missing else ""


class Browser:
    """Chromium without a window. You must call `close`."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which(_BROWSER) or ""
        for argument in (
            "--headless=new",
            "--no-sandbox",  # tests may run as root, in a container
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--hide-scrollbars",
        ):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver: Any = webdriver.Chrome(  # selenium's types have holes
            options=options, service=Service(shutil.which(_DRIVER))
        )
        self.driver.set_page_load_timeout(_LOADED)

    def close(self) -> None:
        """End the browser."""
        self.driver.quit()

    def reset(self) -> None:
        """A wide window, light, without cookies, and nothing in the log."""
        self.look(width=_WIDE, dark=False)
        self.driver.delete_all_cookies()
        self.driver.get("about:blank")
        self.complaints()

    def look(self, *, width: int = _WIDE, dark: bool = False) -> None:
        """Choose how wide the window is, and what the reader prefers."""
        metrics = {"width": width, "height": _HIGH, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def open(self, url: str) -> None:
        """Load a page."""
        self.driver.get(url)

    def run(self, script: str, *arguments: object) -> Any:
        """Run JavaScript in the page."""
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> WebElement:
        """The first element of a CSS selector."""
        found: WebElement = self.driver.find_element(By.CSS_SELECTOR, selector)
        return found

    def texts(self, selector: str) -> list[str]:
        """What all elements of a selector say, on one line each, read at one moment."""
        found: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])]"
            ".map((each) => each.innerText.replace(/[ \\n\\t]+/g, ' ').trim())",
            selector,
        )
        return found

    def text(self, selector: str = "main") -> str:
        """What the first element says, empty if there is none."""
        return next(iter(self.texts(selector)), "")

    def wait_for(self, selector: str, text: str, *, timeout: float = 20.0) -> None:
        """Wait until an element says something."""
        wait_until(lambda: text in self.text(selector), timeout=timeout, what=f"{text!r} in {selector}")

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> str:
        """What has the focus: its id, or what it says."""
        said: str = self.run(
            "const at = document.activeElement; return at.id || at.innerText.trim() || at.tagName"
        )
        return said

    def complaints(self) -> list[str]:
        """What the browser's console has said since the last time: errors, refused resources."""
        return [str(each["message"]) for each in self.driver.get_log("browser")]


@contextmanager
def served(*arguments: object, stderr: int = subprocess.DEVNULL) -> Generator[str]:
    """Run ``socketio-recovery web``, and give its URL."""
    command = [sys.executable, "-c", "from adapter.cli import main; main()", "web", "--port", "0", "--json"]
    settings = ["--set", f"max_disconnection_duration={WINDOW}", "--set", "checkpoint_interval=0.2"]
    with subprocess.Popen(
        [*command, *settings, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"].rstrip("/")
        finally:
            process.terminate()
