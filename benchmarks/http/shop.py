"""The shop as it stands: reading and placing an order, starting, and the memory it takes, on both engines."""

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.common.results import Figure, median, number
from benchmarks.http import platform
from benchmarks.http.bench import Bench
from benchmarks.http.figures import samples
from benchmarks.http.load import Sample, Work
from benchmarks.http.meter import memory_mb
from benchmarks.http.server import Server
from shop.seed.stores import DEMO_PASSWORD, STORES

STORE = STORES[0]
CUSTOMER = STORE.accounts[0].email
ORDERS, LINES = 200, 3
PRODUCT_PAGES, PER_PAGE = 10, 100
FULL = 1_000_000_000
"""On the shelf of each product, so that no order is refused."""


class Place(NamedTuple):
    engine: str
    role: str
    folder: Path
    environment: dict[str, str]


async def measure(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say("\n[bold]The shop[/]: an order read, an order placed, the start, the memory")
    durability = {"SQLite": await bench.on_sqlite(), "PostgreSQL": bench.on_postgresql()}
    found: list[Figure] = []
    for engine in durability:
        with _seeded(bench, engine) as places:
            for place in places:
                for figure in _measured(bench, place):
                    figure.durability = durability[engine]
                    found.append(figure)
    return found


@contextmanager
def _seeded(bench: Bench, engine: str) -> Iterator[list[Place]]:
    with bench.place(f"shop-{engine.lower()}") as folder:
        platform.project(folder, "shop.app:app")
        if engine == "SQLite":
            file = folder / "app.db"
            environment = owner = {"DATABASE_URL": f"sqlite:///{file}"}
        else:
            urls = bench.postgres.create_database("bench_shop")
            environment = {"DATABASE_URL": urls.app.replace("+asyncpg", "")}
            owner = environment | {"DATABASE_MIGRATE_URL": urls.owner.replace("+asyncpg", "")}
        platform.command(folder, owner, "migrate")
        platform.command(folder, environment, "seed")
        fill = f"UPDATE products SET stock = {FULL}"
        if engine == "SQLite":
            with sqlite3.connect(file) as connection:
                connection.execute(fill)
            connection.close()
        else:
            bench.postgres.run(fill, "VACUUM ANALYZE", database="bench_shop")
        roles = ["all"] if engine == "SQLite" else ["all", "api"]
        yield [Place(engine, role, folder, environment) for role in roles]
        if engine == "PostgreSQL":
            bench.postgres.drop_database("bench_shop")


def _measured(bench: Bench, place: Place) -> list[Figure]:
    where = f"{place.engine}, --role {place.role}"
    starts: list[float] = []
    for _ in range(bench.rounds):
        with _serve(bench, place) as server:
            starts.append(server.started)
    with _serve(bench, place) as server:
        idle = memory_mb(server.pid)
        server.sign_in(CUSTOMER, DEMO_PASSWORD)
        bodies = _orders_of(server)
        read = Work([f"/api/v1/orders/{_place(server, body)}" for body in bodies[:ORDERS]])
        write = Work(["/api/v1/orders"], bodies)
        for work in (read, write):
            bench.load.sample(server, work, seconds=bench.warm_up)
        reads: list[Sample] = []
        writes: list[Sample] = []
        for turn in range(bench.rounds):
            reads.append(bench.load.sample(server, read, seconds=bench.seconds))
            writes.append(bench.load.sample(server, write, seconds=bench.seconds))
            for verb, sample in (("read", reads[-1]), ("write", writes[-1])):
                bench.say(f"  round {turn + 1}  {where}, {verb}: {number(sample.rate)}/s, {number(sample.cpu)} us CPU")
        loaded = memory_mb(server.pid)
    return [
        *samples(f"shop, {where}: GET an order", reads),
        *samples(f"shop, {where}: POST an order", writes),
        Figure(name=f"shop, {where}: start to ready", value=median(starts), unit="s", rounds=starts),
        Figure(name=f"shop, {where}: memory after start", value=idle, unit="MB"),
        Figure(name=f"shop, {where}: memory after the load", value=loaded, unit="MB"),
    ]


def _serve(bench: Bench, place: Place) -> Server:
    name = f"the shop on {place.engine}"
    environment = place.environment | {"RATE_LIMITS": "off"}  # one customer places all the orders
    return platform.serve(name, place.folder, environment, role=place.role, host=STORE.host, core=bench.core)


def _orders_of(server: Server) -> list[str]:
    """Bodies, each of a few of a thousand products: the same in every run."""
    products, cursor = [], ""
    for _ in range(PRODUCT_PAGES):
        page = server.json("GET", f"/api/v1/products?limit={PER_PAGE}&cursor={cursor}")
        products += [product["id"] for product in page["items"]]
        cursor = page["next_cursor"]
    chance = random.Random(1)
    return [
        json.dumps({"lines": [{"product_id": each, "quantity": 1} for each in chance.sample(products, LINES)]})
        for _ in range(len(products))
    ]


def _place(server: Server, body: str) -> str:
    placed: str = server.json("POST", "/api/v1/orders", body, {"Idempotency-Key": f"made-{hash(body):x}"})["id"]
    return placed
