"""A real headless Chromium for tests: the system's own, driven by Playwright.

``python -m groundplan.testing.browser`` prints where it is, or says how to get one.
"""

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_APPLICATIONS = (
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
)
PLAYWRIGHT_CACHES = (Path("~/.cache/ms-playwright"), Path("~/Library/Caches/ms-playwright"))
FLAGS = (
    "--no-sandbox",  # the sandbox refuses to run as root, and all that it visits is our own server on loopback
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class BrowserMissing(RuntimeError):
    """There is no Chromium on this machine."""


def find_chromium() -> Path:
    """The system's Chromium or Chrome, else the one that Playwright installed.

    Raises:
        BrowserMissing: saying how to get one.
    """
    found = [Path(path) for path in map(shutil.which, COMMANDS) if path]
    found += [path for path in MAC_APPLICATIONS if path.exists()]
    for cache in PLAYWRIGHT_CACHES:
        found += sorted(cache.expanduser().glob("chromium-*/chrome-*/chrome"), reverse=True)
        found += sorted(cache.expanduser().glob("chromium-*/chrome-*/*.app/Contents/MacOS/*"), reverse=True)
    for path in found:
        if _runs(path):
            return path
    raise BrowserMissing(
        "The browser tests need Chromium. Install it with scripts/install-browser (make test does), "
        "with the system's package manager, or with: .venv/bin/playwright install chromium"
    )


def _runs(path: Path) -> bool:
    """Some systems put a script in its place that only says how to install it."""
    return subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """A headless browser for the block, with an empty profile; each ``new_context()`` is one more visitor."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=FLAGS, headless=True)
        try:
            yield browser
        finally:
            await browser.close()


async def screenshot(page: Page, path: Path, *, full_page: bool = False) -> Path:
    """Takes a PNG of the page once its fonts and images are there, with animations finished."""
    path.parent.mkdir(parents=True, exist_ok=True)
    await page.wait_for_load_state("load")
    await page.evaluate("document.fonts.ready.then(() => true)")
    await page.screenshot(path=path, full_page=full_page, animations="disabled", caret="hide")
    return path


if __name__ == "__main__":
    try:
        print(find_chromium())
    except BrowserMissing as missing:
        sys.exit(str(missing))
