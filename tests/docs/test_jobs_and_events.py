"""The page about jobs and events: its code runs, its commands are there, its picture is what the code does."""

import os
import re
import subprocess
import sys
from pathlib import Path

from groundplan.cli.commands import build
from groundplan.messaging.dead_letters.letters import DeadLetters
from groundplan.messaging.delivery.claims import Claims
from groundplan.messaging.delivery.deliveries import Deliveries
from groundplan.messaging.delivery.queues import Queues
from groundplan.settings.urls import BROKERS
from tests.docs.pages import ROOT, blocks, commands

PAGE = "docs/jobs-and-events.md"

CONFTEST = """
import pytest

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
MIGRATION = """
from alembic import op

from parcels import Notice

revision = "0001"
down_revision = None


def upgrade():
    Notice.__table__.create(op.get_bind())


def downgrade():
    op.drop_table("parcel_notices")
"""
EVERY_HANDLER = """
import pytest
from uuid import uuid4

import parcels
from groundplan.testing.handlers import app_in_test

pytestmark = pytest.mark.anyio
ID = uuid4()
SENT = [
    parcels.ParcelPacked(parcel_id=ID, email="mara@northside.example"),
    parcels.ParcelInvoiced(parcel_id=ID, cents=1, currency="USD"),
    parcels.PrintLabel(parcel_id=ID),
    parcels.AskHowItWas(parcel_id=ID),
    parcels.CountShelf(shelf="A"),
    parcels.AlarmShelf(shelf="A"),
]


async def test_every_handler_of_the_page_works(tmp_path):
    async with app_in_test(parcels.app, tmp_path) as house:
        ctx = house.context(system=True)
        async with ctx.transaction():
            for message in SENT:
                (ctx.publish if isinstance(message, parcels.Event) else ctx.enqueue)(message)
        await parcels.move_twice(house.context(system=True), ID)
        await house.tick("parcels.morning_report")
        await parcels.pause_the_warehouse(house.context(system=True))
        ended = await house.run_until_idle()
        assert ended.of("parcels.move") == []
        await parcels.resume_the_warehouse(house.context(system=True))
        ended += await house.run_until_idle()
        assert {each.outcome for each in ended} == {"done"}
        assert {each.handler for each in ended} == {handler.name for handler in parcels.feature.handlers}
        assert [each.message.shelf for each in ended if each.handler == "parcels.move"] == ["A", "B"]


@pytest.mark.parametrize(
    ("answer", "outcome", "delay"),
    [("no paper", "snoozed", 600), ("printed before", "cancelled", 0), ("busy", "retried", 30),
     ("no such printer", "dead", 0)],
)
async def test_what_the_printer_says_is_what_the_page_says(tmp_path, monkeypatch, answer, outcome, delay):
    answers = iter([answer])

    async def ask_printer(parcel_id):
        return next(answers, "")

    monkeypatch.setattr(parcels, "ask_printer", ask_printer)
    async with app_in_test(parcels.app, tmp_path) as house:
        ctx = house.context(system=True)
        async with ctx.transaction():
            ctx.enqueue(parcels.PrintLabel(parcel_id=ID))
        first = (await house.run_until_idle())[0]
        assert (first.outcome, first.delay) == (outcome, delay)


def test_an_old_invoice_is_lifted():
    from groundplan.messaging.message import decode

    assert decode(parcels.ParcelInvoiced, '{"parcel_id": "%s", "cents": 5}' % ID, 1).currency == "USD"
"""


def test_the_code_of_the_page_runs(tmp_path: Path) -> None:
    shown = blocks(PAGE, "python")
    files = {
        "parcels/__init__.py": "\n".join(block.text for block in shown if not block.path),
        "parcels/migrations/versions/0001_notices.py": MIGRATION,
        "tests/test_every_handler.py": EVERY_HANDLER,
        "conftest.py": CONFTEST,
        "pytest.ini": "[pytest]\naddopts = --import-mode=importlib -p no:cacheprovider\n",
        **{block.path: block.text for block in shown if block.path},
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "8 passed" in ran.stdout


def test_every_command_of_the_page_is_one() -> None:
    shown = commands(PAGE)
    assert len(shown) > 10
    for arguments in shown:
        build().parse_args(arguments, exit_on_error=False, print_error=False)


def test_the_picture_and_the_table_are_what_the_code_does() -> None:
    (picture,) = blocks(PAGE, "mermaid")
    drawn = {
        (_state(begin), verb.strip(), _state(end))
        for begin, end, verbs in re.findall(r"^ +(\S+) --> (\S+): (.+)$", picture.text, re.MULTILINE)
        for verb in verbs.split(",")
    }
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    table = text[text.index("| from | verb | to |") : text.index("Every change of a leased row")]
    told = {
        (begin, verb, end)
        for line in table.splitlines()[2:]
        if line
        for begin, verbs, end in [[cell.strip() for cell in line.split("|")][1:4]]
        for verb in verbs.split(", ")
    }
    assert drawn - {("handed off", "the broker confirms", "none")} == told
    verbs = {verb for _, verb, _ in told}
    known = {name for kind in (Claims, Deliveries, DeadLetters, Queues) for name in vars(kind) if name[0] != "_"}
    assert verbs - known == {"publish", "enqueue"}
    repeated = {"acknowledge_batch", "mark_done"}
    assert {name for name in vars(Deliveries) if name[0] != "_"} - repeated <= verbs


def test_the_page_has_every_broker() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`database`|`\w+://`.*?) \|", text, re.MULTILINE)
    assert set(re.findall(r"\w+", " ".join(rows))) == {"database", *BROKERS}


def _state(name: str) -> str:
    return {"[*]": "none", "handed_off": "handed off"}.get(name, name)
