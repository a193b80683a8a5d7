"""kill -9 between an order's commit and its receipt loses neither; what was done once is not done twice."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from groundplan.testing.postgres import PostgresServer
from tests.system.database import ask
from tests.system.shopper import Shopper, wait_for


def _mails(project: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in (project / "var" / "inbox").glob("*.json")]


def test_a_receipt_survives_the_death_of_the_process(
    platform: Any, project: Path, environment: dict[str, str], superuser: str
) -> None:
    ask(environment, "INSERT INTO queues (name, paused) VALUES ('default', 1)", url=superuser)
    process = platform()
    shopper = Shopper(process.url).sign_in()
    page, _ = shopper.check_out()
    order = shopper.approve(page, twice="1")
    assert ask(environment, "SELECT COUNT(*) AS n FROM deliveries", url=superuser)[0].n == 1
    process.kill()
    assert _mails(project) == []

    ask(environment, "UPDATE queues SET paused = 0", url=superuser)
    process.start()
    wait_for(lambda: "Receipt sent" in shopper.browser.get(order).text and _mails(project))
    wait_for(lambda: ask(environment, "SELECT COUNT(*) AS n FROM receipts", url=superuser)[0].n == 1)
    assert len(_mails(project)) == 1
    wait_for(lambda: ask(environment, "SELECT COUNT(*) AS n FROM deliveries", url=superuser)[0].n == 0)


def test_a_worker_killed_between_mail_and_commit_sends_one_mail(
    project: Path, postgres: PostgresServer, seeded_postgres: str, platform_on: Any
) -> None:
    name = f"shop_{uuid4().hex}"
    urls = postgres.create_database(name, template=seeded_postgres)
    superuser = postgres.url(name)
    process = platform_on({"DATABASE_URL": urls.app})
    shopper = Shopper(process.url).sign_in()
    page, _ = shopper.check_out()
    # The table is held, so that the handler stands between its mail and its transaction when it is killed.
    with postgres.holding(name, "LOCK TABLE receipts IN SHARE MODE"):
        order = shopper.approve(page)
        wait_for(lambda: len(_mails(project)) == 1)
        process.kill()
    assert ask({}, "SELECT COUNT(*) AS n FROM receipts", url=superuser)[0].n == 0

    # The dead worker's lease is left to run out; here that is said to the database instead of waited for.
    ask({}, "UPDATE deliveries SET lease_until = clock_timestamp() WHERE state = 'leased'", url=superuser)
    process.start()
    wait_for(lambda: "Receipt sent" in shopper.browser.get(order).text)
    wait_for(lambda: ask({}, "SELECT COUNT(*) AS n FROM receipts", url=superuser)[0].n == 1)
    assert len(_mails(project)) == 1
    wait_for(lambda: ask({}, "SELECT COUNT(*) AS n FROM deliveries", url=superuser)[0].n == 0)


def test_sigterm_drains(platform: Any) -> None:
    process = platform()
    Shopper(process.url).sign_in()
    assert process.stop() == 0
    assert '"event":"stopped serving"' in process.lines()


@pytest.mark.parametrize("environment", ["sqlite"], indirect=True)
def test_a_second_process_on_sqlite_is_refused(platform: Any) -> None:
    platform()
    with pytest.raises(Exception, match="SQLite means one process"):
        platform()
