"""Fixtures of the browser tests: one server for all, one browser for each module."""

import os
from pathlib import Path

import pytest
from lab import CHROMIUM_OPTIONS, Lab, Server
from setup_browser import find_browser

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def browser_path():
    found = find_browser()
    if found is None:
        reason = "no browser; `python tests/setup_browser.py` finds or installs one"
        # A machine that exists to run the tests must not pass by leaving them out.
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    return found


@pytest.fixture(scope="session")
def lab_server(browser_path, tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


# Not for the session: Playwright keeps an event loop running, which would perturb
# other modules' use of asyncio.
@pytest.fixture(scope="module")
def lab(browser_path, lab_server):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=list(CHROMIUM_OPTIONS)
        )
        lab = Lab(lab_server, browser)
        yield lab
        lab.close()
        browser.close()
