"""The events group of the command line: look, replay, erase."""

import asyncio
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
import yaml

from groundplan.cli import main
from groundplan.core.clock import SystemClock
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Row, Sql
from groundplan.messaging.handlers import Handlers
from groundplan.messaging.message import Envelope, Event
from groundplan.messaging.outbox import Outbox
from groundplan.testing.postgres import DatabaseUrls
from shop.orders.events import OrderPaid, OrderPlaced
from tests.cli.test_commands import ROOT

MARA, NORTH = UUID(int=1), UUID(int=2)
HANDLER = "orders.send_receipt"
LONG_AGO = ("--handler", HANDLER, "--from", "2020-01-01")
_TENANT = Sql("""INSERT INTO tenants (id, slug, name, host, brand, created_at)
    VALUES (:id, 'north', 'North Market', 'n.example', '', NOW)""")

_AGE = Sql("UPDATE events SET occurred_at = :at")


class Said(NamedTuple):
    code: int
    out: str
    err: str


class Project:
    """A project folder with a database, the command in this process, and hands of its own in the database."""

    def __init__(self, folder: Path, urls: DatabaseUrls, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.urls = urls
        self.environment = {"APP_ENV": "ci", "DATABASE_URL": urls.app, "DATABASE_MIGRATE_URL": urls.owner}
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Said:
        with pytest.raises(SystemExit) as ended:
            main(["events", *arguments])
        said = self._capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """The command as a process of its own."""
        known = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
        return subprocess.Popen(
            [sys.executable, "-m", "groundplan.cli", "events", *arguments],
            cwd=self.folder,
            env=known | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def publish(self, *events: Event, user: UUID | None = None, tenant: UUID | None = NORTH) -> None:
        async def publish(database: Database) -> None:
            outbox = Outbox(database, Handlers(), SystemClock())
            async with database.transaction(None) as transaction:
                draft = outbox.draft(
                    transaction, Envelope(tenant_id=tenant, user_id=user, request_id="r", traceparent="")
                )
                for event in events:
                    draft.publish(event)

        self._with(publish)

    def pay(self, count: int, **who: Any) -> None:
        self.publish(
            *(OrderPaid(order_id=uuid4(), number=f"NM-{n}", email="m@n.example", total_cents=n) for n in range(count)),
            **who,
        )

    def rows(self, sql: str) -> list[Row]:
        return self._with(lambda database: database.execute(Sql(sql)))

    def add_tenant(self) -> None:
        self._with(lambda database: database.execute(_TENANT, id=NORTH))

    def audited(self) -> list[str]:
        return [row.action for row in self.rows("SELECT action FROM audit_log ORDER BY at, id")]

    def age(self) -> None:
        """Everything that happened happened in 2020."""
        self._with(lambda database: database.execute(_AGE, at=datetime(2020, 5, 1, tzinfo=UTC)), owner=True)

    def _with(self, act: Any, *, owner: bool = False) -> Any:
        async def inside() -> Any:
            database = Database(self.urls.owner if owner else self.urls.app, exclusive=False)
            try:
                return await act(database)
            finally:
                await database.close()

        return asyncio.run(inside())


@pytest.fixture
def project(
    tmp_path: Path,
    migrated_urls: DatabaseUrls,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Project]:
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path, migrated_urls, capsys)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    project.add_tenant()
    yield project


on_sqlite = pytest.mark.parametrize("migrated_urls", ["sqlite"], indirect=True)


@on_sqlite
def test_the_catalogue_for_people_and_for_machines(project: Project) -> None:
    table = project("catalog")
    assert table.code == 0
    (line,) = [line for line in table.out.splitlines() if line.startswith("order.paid")]
    assert " ".join(line.split()) == (
        f"order.paid event 1 orders (commerce) {HANDLER} order_id, number, email, total_cents"
    )
    document = json.loads(project("catalog", "--json").out)
    assert (document["asyncapi"], document["info"]["title"]) == ("3.0.0", "shop")
    assert yaml.safe_load(project("catalog", "--yaml").out) == document


def test_tail_shows_the_newest_in_order(project: Project) -> None:
    assert project("tail") == (0, "", "")
    project.publish(OrderPlaced(order_id=uuid4(), number="NM-1", total_cents=1), tenant=None)
    project.pay(3)
    lines = project("tail", "--lines", "3").out.splitlines()
    assert ["NM-0" in lines[0], "NM-1" in lines[1], "NM-2" in lines[2]] == [True] * 3
    assert all("order.paid" in line and "north" in line and "trace" in line for line in lines)
    (placed,) = [json.loads(line) for line in project("tail", "--name", "order.placed", "--json").out.splitlines()]
    assert (placed["name"], placed["tenant"], placed["payload"]["number"]) == ("order.placed", "", "NM-1")
    assert len(project("tail", "--tenant", "north").out.splitlines()) == 3
    nowhere = project("tail", "--tenant", "south")
    assert nowhere.code == 2 and "There are: north." in nowhere.err


@on_sqlite
def test_tail_hides_what_is_secret(project: Project) -> None:
    class KeyMade(OrderPlaced, frozen=True, kw_only=True):
        api_key: str

    project.publish(KeyMade(order_id=uuid4(), number="1", total_cents=1, api_key="do not show"))
    for arguments in (("tail",), ("tail", "--json")):
        shown = project(*arguments).out
        assert "[hidden]" in shown and "do not show" not in shown


def line_of(process: "subprocess.Popen[str]") -> str:
    """The next line that it prints; fails rather than wait for ever."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 30)
    assert ready, "it said nothing for 30 s"
    return process.stdout.readline()


def test_tail_follows(project: Project) -> None:
    project.pay(1)
    tail = project.start("tail", "--follow", "--json", "--name", "order.paid")
    try:
        assert json.loads(line_of(tail))["payload"]["number"] == "NM-0"
        project.publish(OrderPlaced(order_id=uuid4(), number="other", total_cents=1))
        project.publish(OrderPaid(order_id=uuid4(), number="NM-9", email="m@n.example", total_cents=1))
        assert json.loads(line_of(tail))["payload"]["number"] == "NM-9"
        tail.send_signal(signal.SIGINT)
        assert tail.wait(30) == 130
    finally:
        tail.kill()
        tail.communicate()


def test_a_replay_says_what_it_will_do_before_it_does_it(project: Project) -> None:
    project.pay(5)
    unknown = project("replay", "--handler", "orders.sned_receipt", "--from", "2020-01-01", "--again")
    assert unknown.code == 2 and f"This release has: catalog.index_product, {HANDLER}." in unknown.err
    refused = project("replay", *LONG_AGO)
    assert refused.code == 2 and "--again" in refused.err and "happens again" in refused.err
    counted = project("replay", *LONG_AGO, "--dry-run", "--json")
    assert json.loads(counted.out) == {"handler": HANDLER, "events": 5}
    assert project.rows("SELECT id FROM deliveries") == []
    assert project.audited() == []

    done = project("replay", *LONG_AGO, "--again", "--tenant", "north")
    assert done.code == 0 and "Done: 5 messages are on their way" in done.out
    assert "5 messages, up to" in done.out
    assert len(project.rows("SELECT id FROM deliveries")) == 5
    assert project.audited() == ["events.replay"]
    told = json.loads(project("replay", *LONG_AGO, "--until", "2020-01-02", "--again", "--json").out)
    assert (told["handler"], told["made"], told["done"]) == (HANDLER, 0, True)
    again = project("replay", "--continue", told["id"])
    assert again.code == 2 and "is done" in again.err


@on_sqlite
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--handler x --again", "from when"),
        ("--from 2026-01-01 --again", "which handler"),
        (f"--handler {HANDLER} --from yesterday --again", "not a time"),
        (f"--handler {HANDLER} --from 2026-01-02 --until 2026-01-01 --again", "earlier"),
        (f"--handler {HANDLER} --from 2026-01-02 --again --rate 0", "not a rate"),
        (f"--handler {HANDLER} --from 2026-01-02 --again --rate fast", "not a rate"),
        (f"--handler {HANDLER} --from 2026-01-02 --again --tenant south", "no tenant 'south'"),
        (f"--continue {UUID(int=9)}", "no replay"),
    ],
)
def test_a_replay_that_makes_no_sense_is_wrong_usage(project: Project, words: str, says: str) -> None:
    refused = project("replay", *words.split())
    assert refused.code == 2 and says in refused.err
    assert project.rows("SELECT id FROM replays") == []


@on_sqlite
def test_a_replay_goes_no_faster_than_asked(project: Project) -> None:
    project.pay(30)
    started = time.monotonic()
    assert project("replay", *LONG_AGO, "--again", "--rate", "50/s").code == 0
    assert time.monotonic() - started > 0.35, "30 messages at 50/s; the last batch is not waited for"
    assert len(project.rows("SELECT id FROM deliveries")) == 30


def test_a_replay_that_was_killed_goes_on_where_it_was(project: Project) -> None:
    project.pay(600)
    begun = project.start("replay", *LONG_AGO, "--again", "--rate", "300/s")
    replay_id = line_of(begun).split()[1]
    line_of(begun)
    time.sleep(random.Random(5).random() / 5)
    begun.kill()
    begun.communicate()
    before = len(project.rows("SELECT id FROM deliveries"))
    assert 0 < before < 600, "it was not killed on the way"

    cut = project.start("replay", "--continue", replay_id, "--rate", "300/s")
    line_of(cut), line_of(cut)
    cut.send_signal(signal.SIGINT)
    _, errors = cut.communicate(timeout=30)
    assert cut.returncode == 130 and f"--continue {replay_id}" in errors

    assert project("replay", "--continue", replay_id).code == 0
    events = [row.event_id for row in project.rows("SELECT event_id FROM deliveries")]
    assert len(events) == len(set(events)) == 600
    assert project.audited() == ["events.replay", "events.replay.continue", "events.replay.continue"]


def test_a_users_events_are_erased_once(project: Project) -> None:
    project.pay(2, user=MARA)
    project.pay(1, user=UUID(int=8))
    for arguments in ((), ("--user", str(MARA), "--tenant", "north")):
        assert project("erase", *arguments).code == 2
    assert json.loads(project("erase", "--user", str(MARA), "--json").out) == {
        "events": 2,
        "dead_letters": 0,
        "waiting": 0,
    }
    assert "0 events" in project("erase", "--user", str(MARA)).out
    assert project.audited() == ["events.erase"]
    assert "1 events" in project("erase", "--tenant", "north").out
    assert project("tail").out.count("(erased)") == 3


@pytest.mark.parametrize("migrated_urls", ["postgresql"], indirect=True)
def test_erasing_takes_the_owner(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_MIGRATE_URL", project.urls.app)
    for arguments in (("erase", "--user", str(MARA)), ("prune", "--older-than", "7")):
        refused = project(*arguments)
        assert refused.code == 2 and "Set DATABASE_MIGRATE_URL" in refused.err


def test_old_events_are_pruned(project: Project) -> None:
    project.pay(3)
    assert project("prune", "--older-than", "0").code == 2
    assert json.loads(project("prune", "--older-than", "1", "--json").out) == {"events": 0}
    assert project.audited() == []
    project.age()
    assert "Removed 2 events" in project("prune", "--older-than", "7").out, "the newest one stays"
    assert project.audited() == ["events.prune"]
