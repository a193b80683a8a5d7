"""The guide to rate limits: its example runs and its figures are those of the code."""

from pathlib import Path
from typing import Any

import pytest

from groundplan.accounts.api import SIGN_INS
from groundplan.app import App, Context, Feature, RateLimit
from groundplan.core.quotas import quota_of
from groundplan.data.coordination.batched import AHEAD, TELL_SECONDS
from groundplan.settings.catalogue import VARIABLES
from groundplan.testing.app import RunningApp, running
from tests.docs.pages import ROOT, blocks

PAGE = "docs/rate-limits.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")


@pytest.mark.anyio
async def test_the_example_keeps_what_it_declares(tmp_path: Path) -> None:
    feature = Feature("quotes", owner="team")
    names: dict[str, Any] = {"feature": feature, "Context": Context, "RateLimit": RateLimit}
    (example,) = blocks(PAGE, "python")
    exec(example.text, names)

    async with running(App("tiny", features=[feature], roles={}, package="groundplan.testing"), tmp_path) as app:
        asked = [(await app.client.post("/api/v1/quotes")).status_code for _ in range(6)]
        assert asked == [201] * 5 + [429]
        refused = await app.client.post("/api/v1/quotes")
        assert '"quotes.ask_for_quote.ip.60s";q=5;w=60' in refused.headers["ratelimit-policy"]
        assert '"quotes.ask_for_quote.ip.60s";r=0;t=' in refused.headers["ratelimit"]
        await _prices(app)


async def _prices(app: RunningApp) -> None:
    answers = [await app.client.get("/api/v1/prices") for _ in range(3)]
    assert [each.json() for each in answers] == [[1, 2, 3]] * 3
    assert '"quotes.list_prices.user";q=3;w=1' in answers[0].headers["ratelimit-policy"]


def test_the_figures_are_those_of_the_code() -> None:
    defaults = {variable.name: variable.default for variable in VARIABLES}
    for name in ("RATE_LIMIT_IP", "RATE_LIMIT_USER", "RATE_LIMITS"):
        assert f"| `{name}` | {defaults[name]} |" in TEXT
    assert f"`RATE_LIMIT_OUTAGE_SHARE` ({defaults['RATE_LIMIT_OUTAGE_SHARE']})" in TEXT
    limit = quota_of(defaults["RATE_LIMIT_IP"] or "").limit
    assert f"with {limit}/min and four processes {limit * (1 + 4 * AHEAD):.0f}" in TEXT
    assert f"tells Redis {TELL_SECONDS:g} s after" in TEXT


def test_the_limits_of_accounts_are_those_of_the_code() -> None:
    assert f"60 a minute for an address and {SIGN_INS.limit} for an account" in " ".join(TEXT.split())
    assert SIGN_INS.window == 60
