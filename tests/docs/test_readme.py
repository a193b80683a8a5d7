"""The README: what it tells to paste works as pasted, its commands are there, and so is what it links to."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from groundplan.cli.commands import build
from groundplan.settings.urls import BROKERS
from groundplan.testing.platform import PlatformProcess
from groundplan.testing.postgres import DatabaseUrls
from tests.docs.pages import ROOT, Block, blocks, commands

PAGE, GUIDE = "README.md", "docs/add-a-feature.md"
PASSWORD = "apples on a rainy day"
PATIENCE_SECONDS = 30.0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project, with the features of README and guide added to it by hand."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(ROOT / "src" / "shop", tmp_path / "src" / "shop", ignore=shutil.ignore_patterns("__pycache__"))
    shown = [block for page in (PAGE, GUIDE) for language in ("python", "html") for block in blocks(page, language)]
    feature = [block for block in shown if block.path]
    assert len(feature) > 7
    for block in feature:
        path = tmp_path / block.path
        assert not path.exists(), f"the shop has a {block.path} of its own by now: the README needs another example"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)
    for page in (PAGE, GUIDE):
        (line,) = blocks(page, "diff")
        _apply(line, tmp_path)
    _migrate(tmp_path)
    return tmp_path


def test_features_are_added_as_the_pages_say(project: Path, engine_urls: DatabaseUrls) -> None:
    environment = {
        "PYTHONPATH": str(project / "src"),
        "DATABASE_URL": engine_urls.app,
        "DATABASE_MIGRATE_URL": engine_urls.owner,
        "SECRET_KEY": "a secret that only this test run knows",
    }
    with PlatformProcess(project, environment, prepare=True) as platform, _browser(platform.url) as browser:
        assert browser.get("/api/v1/hours").json() == {"opens": "07:00", "closes": "22:00"}
        assert "Open from 07:00 to 22:00" in browser.get("/hours").text

        session = {"email": "mara@northside.example", "password": PASSWORD}
        token = browser.post("/api/v1/sessions", json=session).json()["token"]
        by_script = {"authorization": f"Bearer {token}", "idempotency-key": "one"}
        for _ in range(2):
            made = browser.post("/api/v1/suggestions", json={"text": "Pears"}, headers=by_script)
            assert (made.status_code, made.json()["text"]) == (201, "Pears")
        refused = browser.post("/api/v1/suggestions", json={"text": ""}, headers=by_script | {"idempotency-key": "two"})
        assert refused.status_code == 400

        assert browser.get("/suggestions").status_code == 303, "a visitor signs in first"
        assert browser.post("/sign-in", data=session | {"next": "/"}).status_code == 303
        assert browser.post("/suggestions", data={"key": "three", "text": "Quinces"}).status_code == 303
        page = _until(lambda: _shown(browser), lambda shown: shown.count("(thank you)") == 2)
        assert re.findall(r"<li>(\w+)", page) == ["Quinces", "Pears"]


def test_every_command_of_the_readme_is_one() -> None:
    shown = commands(PAGE)
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    shown += [found.split() for found in re.findall(r"`groundplan ([a-z -]+)`", text)]
    assert len(shown) > 5
    for arguments in shown:
        build().parse_args(arguments, exit_on_error=False, print_error=False)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"^    make ([a-z-]+)", text, re.MULTILINE)) <= targets


def test_what_the_readme_names_is_there() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    linked = [target.partition("#")[0] for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text)]
    tests = re.findall(r"`(tests/[\w/]+\.py)`", text)
    assert linked and tests
    missing = [path for path in (*linked, *tests) if not (ROOT / path).exists()]
    assert missing == []


def test_the_readme_does_not_call_missing_what_is_there() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    missing = text[text.index("## Not there yet") : text.index("## Licence")].lower()
    there = {"nats": "nats", "schedules": "schedules", "amqp": "rabbitmq"}
    known = {*BROKERS, "schedules"}
    assert [name for name, words in there.items() if name in known and words in missing] == []


def _apply(block: Block, project: Path) -> None:
    """One line is added behind another, which must be there once."""
    path = project / block.path
    text, (before, added) = path.read_text(), block.text.splitlines()[1:]
    assert (before[0], added[0]) == (" ", "+")
    assert text.count(before[1:] + "\n") == 1, f"{block.path} has no line {before[1:]!r} any more"
    path.write_text(text.replace(before[1:] + "\n", f"{before[1:]}\n{added[1:]}\n"))


def _migrate(project: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "groundplan.cli", "migrate", "new", "add_suggestions"],
        cwd=project,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(project / "src"), "APP_ENV": "ci"},
        capture_output=True,
        text=True,
        check=True,
    )
    path = Path(made.stdout.strip())
    assert path.is_relative_to(project)
    (body,) = (block for block in blocks(GUIDE, "python") if "def upgrade" in block.text)
    path.write_text(path.read_text().partition("def upgrade")[0] + body.text)


def _browser(url: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, headers={"origin": url}, timeout=30, trust_env=False)


def _shown(browser: httpx2.Client) -> str:
    answer = browser.get("/suggestions")
    assert answer.status_code == 200
    return answer.text


def _until(ask: Callable[[], str], holds: Callable[[str], Any]) -> str:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not holds(answer := ask()):
        assert time.monotonic() < give_up, answer
        time.sleep(0.05)
    return answer
