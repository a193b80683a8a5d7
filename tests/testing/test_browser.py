"""The headless browser shows a page as a person would see it."""

from pathlib import Path

import pytest

from groundplan.testing import browser

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


async def test_a_page_is_driven_and_photographed(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        "<title>A page</title><button onclick=\"this.textContent='Thanks'\">Press</button>"
    )
    async with browser.open_browser() as chromium:
        page = await chromium.new_page(viewport={"width": 400, "height": 300})
        await page.goto((tmp_path / "page.html").as_uri())
        await page.get_by_role("button").click()
        assert await page.get_by_role("button").inner_text() == "Thanks"
        picture = await browser.screenshot(page, tmp_path / "shots" / "page.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_missing_browser_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "MAC_APPLICATIONS", ())
    monkeypatch.setattr(browser, "PLAYWRIGHT_CACHES", ())
    with pytest.raises(browser.BrowserMissing, match="scripts/install-browser"):
        browser.find_chromium()
