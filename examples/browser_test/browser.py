"""Chromium without a window, as one command: enough to read a page after its scripts have run.

No WebDriver: a test that clicks and types wants Selenium or Playwright, and gets its URL from ``live_server`` likewise.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def find() -> str | None:
    """The path of a browser, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name)) is not None), None)


def read(browser: str, url: str) -> str:
    """The document at *url* as HTML, after its scripts have run. Raises `subprocess.SubprocessError`."""
    with tempfile.TemporaryDirectory() as profile:
        # Without the sandbox, which needs privileges that containers lack: it reads nothing but our own page.
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        command = [browser, *options, f"--user-data-dir={profile}", "--dump-dom", url]
        done = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True, encoding="utf-8")
    return done.stdout
