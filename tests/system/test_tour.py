"""The tour of the README in a real browser: order, pay, receipt, trace; break it, mend it, replay it."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from groundplan.testing.browser import open_browser, screenshot
from tests.system.conftest import Roles
from tests.system.shopper import PASSWORD

# Where to leave pictures of the pages on the way; nowhere unless asked for.
PICTURES = os.environ.get("TOUR_PICTURES")
LONG = 20_000
KNOWN_EVERYWHERE = 1_100
"""Milliseconds: a process asks for what others have switched if it last did a second ago."""


async def _picture(page: Page, name: str) -> None:
    if PICTURES:
        await screenshot(page, Path(PICTURES) / f"{name}.png", full_page=True)


async def _signed_in(browser: Browser, url: str, email: str) -> Page:
    """A visitor of their own: own cookies, no caught console errors."""
    context = await browser.new_context(base_url=url, viewport={"width": 1280, "height": 900})
    page = await context.new_page()
    page.on("pageerror", lambda error: pytest.fail(f"script error on {page.url}: {error}"))
    await page.goto("/sign-in")
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    return page


async def _order(page: Page) -> str:
    """From the shelf to the gateway and back; the order's number."""
    await page.goto("/?stock=on")
    await _picture(page, "shop")
    await page.get_by_role("button", name=re.compile("^Add to basket")).first.click()
    await expect(page.get_by_role("link", name=re.compile(r"Basket, \$"))).to_be_visible()
    await page.goto("/checkout")
    await page.get_by_role("button", name="Place order and pay").click()
    await expect(page.get_by_role("heading", name=re.compile("^Pay "))).to_be_visible()
    await page.get_by_role("button", name="Approve").click()
    heading = page.get_by_role("heading", name=re.compile("^Order "))
    await expect(heading).to_be_visible()
    return (await heading.inner_text()).removeprefix("Order ")


async def _receipt_arrives(page: Page) -> None:
    """The order's page tells so by itself."""
    await expect(page.locator(".steps li.next")).to_have_count(0, timeout=LONG)
    await expect(page.locator(".badge", has_text="Receipt sent")).to_be_visible()


async def _switch(operator: Page, name: str) -> None:
    await operator.goto("/console/faults")
    async with operator.expect_response(lambda answer: answer.request.method == "POST"):
        await operator.get_by_role("button", name=re.compile(f"^{name}")).first.click()
    await operator.wait_for_timeout(KNOWN_EVERYWHERE)


async def _tour(browser: Browser, url: str) -> Page:
    """All of it, once; the customer's page at its end."""
    customer = await _signed_in(browser, url, "mara@northside.example")
    operator = await _signed_in(browser, url, "ines@northside.example")

    number = await _order(customer)
    await _receipt_arrives(customer)
    await _picture(customer, "order")
    await operator.goto("/console/inbox")
    await operator.get_by_role("link", name=re.compile(number)).click()
    await expect(operator.get_by_text("mara@northside.example").first).to_be_visible()

    await operator.goto("/console/requests?q=orders.send_receipt")
    await operator.get_by_role("link", name="orders.send_receipt").first.click()
    waterfall = operator.locator(".wf")
    for step in ("POST /checkout", "INSERT INTO orders", "publish order.paid", "orders.send_receipt", "send"):
        await expect(waterfall.get_by_text(step, exact=False).first).to_be_visible()
    for part in ("Web", "API", "SQL", "Outbox", "Queue", "Worker", "Mail"):
        await expect(waterfall.locator(".wf-kind", has_text=part).first).to_be_visible()
    await _picture(operator, "trace")

    await _switch(operator, "Switch on")
    broken = await _order(customer)
    await operator.goto("/console/dead-letters")
    row = operator.get_by_role("link", name="orders.send_receipt").first
    for _ in range(100):
        if await row.count():
            break
        await operator.reload()
    await row.click()
    await expect(operator.get_by_text("fails its schema")).to_be_visible()
    await _picture(operator, "dead-letter")
    field = operator.get_by_label("email")
    await expect(field).to_have_attribute("aria-invalid", "true")
    spoiled = await field.input_value()
    assert "@@" in spoiled
    await field.fill("still@@wrong.example")
    await operator.get_by_role("button", name="Save and replay").click()
    await expect(operator.get_by_label("email")).to_have_attribute("aria-invalid", "true")

    await _switch(operator, "Switch off")
    await operator.goto("/console/dead-letters")
    await row.click()
    await field.fill(spoiled.replace("@@", "@"))
    await operator.get_by_role("button", name="Save and replay").click()
    await expect(operator.get_by_text("Replayed.")).to_be_visible()
    await _receipt_arrives(customer)
    await operator.goto("/console/inbox")
    await expect(operator.get_by_role("link", name=re.compile(broken))).to_be_visible()
    await operator.goto("/console")
    await _picture(operator, "map")
    return customer


@pytest.mark.anyio
@pytest.mark.parametrize("environment", ["sqlite"], indirect=True)
async def test_the_tour(platform: Any) -> None:
    async with open_browser() as browser:
        await _tour(browser, platform().url)


@pytest.mark.anyio
async def test_the_tour_on_separate_processes(roles: Roles) -> None:
    async with open_browser() as browser:
        customer = await _tour(browser, roles.web.url)
        assert all("/api/v1/orders" in api.lines() for api in roles.apis), "both took part"

        for api in roles.apis:
            api.kill()
        await customer.set_extra_http_headers({"groundplan-timeout-ms": "1000"})  # later it would be another page
        await customer.goto("/orders")
        await expect(customer.get_by_text("The API does not answer")).to_be_visible()
        await _picture(customer, "api-away")
        roles.apis[0].start()
        for _ in range(100):
            if (answer := await customer.reload()) and answer.ok:
                break
        await expect(customer.get_by_role("heading", name="Your orders")).to_be_visible()
