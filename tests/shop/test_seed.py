"""The seed on a real database: whole, quick, and once."""

import time

import pytest

from groundplan.core.clock import SystemClock
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.wiring import search_in
from shop.seed import DEMO_PASSWORD, STORES, seed

pytestmark = pytest.mark.anyio


async def test_the_seed_fills_three_stores_once(database: Database) -> None:
    hashed: list[str] = []
    steps: list[tuple[str, int, int]] = []

    def hash_password(password: str) -> str:
        hashed.append(password)
        return f"hash of {password}"

    started = time.process_time()  # what it costs, however busy the machine is
    report = await seed(
        database,
        search=search_in(database),
        hash_password=hash_password,
        clock=SystemClock(),
        progress=lambda step, done, total: steps.append((step, done, total)),
    )
    assert time.process_time() - started < 12
    assert (report.stores, report.products, report.orders) == (3, 7_200, 1_808)
    assert hashed == [DEMO_PASSWORD]
    assert steps[0][1:] == (0, 3)
    assert steps[-1][1:] == (3, 3)
    lines = 0
    for store in STORES:
        async with database.transaction(store.id) as transaction:
            (found,) = await transaction.execute(
                Sql("SELECT count(*) AS n FROM order_lines WHERE tenant_id = :id"), id=store.id
            )
        lines += found.n
    assert lines == 15_031

    started = time.process_time()
    again = await seed(database, search=search_in(database), hash_password=hash_password, clock=SystemClock())
    assert time.process_time() - started < 0.5
    assert (again.stores, again.products, again.orders) == (0, 0, 0)
    assert len(again.accounts) == 9
    assert len(hashed) == 1
