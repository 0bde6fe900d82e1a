"""Find a Chromium for the browser tests, or install one: `python tests/setup_browser.py`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

VARIABLE = "ACTWIDGETS_BROWSER"
COMMANDS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    *("chrome", "microsoft-edge", "brave-browser"),
)
USUAL_PLACES = (
    "/usr/lib/chromium/chromium",
    "/snap/bin/chromium",
    "/opt/google/chrome/chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
# Where Playwright puts a browser of its own, and how the program is called there.
PLAYWRIGHT_CACHES = ("~/.cache/ms-playwright", "~/Library/Caches/ms-playwright")
PLAYWRIGHT_PROGRAMS = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
    "chromium_headless_shell-*/*/*headless*shell",
)


def find_browser():
    """Return the path of a Chromium-like browser, or None.

    Raises:
        FileNotFoundError: `ACTWIDGETS_BROWSER` is set to something that cannot be run.
    """
    asked_for = os.environ.get(VARIABLE)
    if asked_for:
        found = shutil.which(asked_for)
        if found is None:
            raise FileNotFoundError(f"{VARIABLE} is {asked_for!r}, which is not a program")
        return found
    candidates = (*COMMANDS, *USUAL_PLACES, *_from_playwright())
    return next((found for found in map(shutil.which, candidates) if found), None)


def _from_playwright():
    own = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    for cache in (own,) if own else PLAYWRIGHT_CACHES:
        folder = Path(cache).expanduser()
        for pattern in PLAYWRIGHT_PROGRAMS:
            yield from map(str, sorted(folder.glob(pattern), reverse=True))


def _missing_packages(browser):
    """Name the Debian packages without which the tests cannot run here."""
    missing = [] if browser else ["chromium"]
    if not _driver_runs():
        missing.append("libatomic1")  # Playwright's own node wants it; minimal Debian lacks it
    if not any(Path("/usr/share/fonts").rglob("*.[ot]tf")):
        missing.append("fonts-dejavu-core")  # else screenshots are full of empty boxes
    return missing


def _driver_runs():
    command = [sys.executable, "-m", "playwright", "--version"]
    return subprocess.run(command, capture_output=True).returncode == 0


def _may_use_apt():
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def _install_with_apt(packages):
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for words in ("update", "install -y --no-install-recommends " + " ".join(packages)):
        command = ["apt-get", "-q", *words.split()]
        _say(" ".join(command))
        if subprocess.run(command, env=environment, stdin=subprocess.DEVNULL).returncode:
            return False
    return True


def _install_with_playwright():
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    _say(" ".join(command))
    return subprocess.run(command, stdin=subprocess.DEVNULL).returncode == 0


def _say(text):
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main():
    """Find or install a browser, say which, and return the exit code."""
    try:
        browser = find_browser()
    except FileNotFoundError as failure:
        _say(str(failure))
        return 1
    if _may_use_apt() and (packages := _missing_packages(browser)):
        _install_with_apt(packages)
        browser = find_browser()
    if browser is None:
        _install_with_playwright()
        browser = find_browser()
    if browser is None:
        _say(
            "No browser for the browser tests: install Chromium or Chrome, "
            f"or set {VARIABLE} to the path of one."
        )
        return 1
    if not _driver_runs():
        _say("Playwright does not start; it needs libatomic.so.1 (Debian's package libatomic1).")
        return 1
    version = subprocess.run([browser, "--version"], capture_output=True, text=True, check=False)
    _say(f"Browser for the tests: {browser} ({version.stdout.strip() or 'version unknown'})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
