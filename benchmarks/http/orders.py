"""Parts 3 and 4: one order with its lines read from PostgreSQL, and one placed, beside the same ORM code elsewhere."""

from benchmarks.common.results import Figure
from benchmarks.http import race, rows
from benchmarks.http.bench import Bench
from benchmarks.http.catalogue import BARE, OURS, USUAL, peers
from benchmarks.http.figures import all_of, at_most, over, times
from benchmarks.http.load import Work
from benchmarks.http.race import Lane
from benchmarks.http.server import Server

READ = [f"/api/v1/orders/{rows.order_id(number)}" for number in range(0, rows.ORDERS, 5)]
KEPT = [f"{path}/kept" for path in READ[:50]]
BY_CORE, BARE_BY_CORE, FROM_CACHE = f"{OURS.name} by Core", f"{BARE.name} by Core", f"{OURS.name} from its cache"
KEPT_MOST = 150.0
READ_OVER_BARE, READ_TIMES = 100.0, 1.5
WRITE_OVER_BARE, WRITE_TIMES = 300.0, 1.3
BODIES = 2_000


async def measure_read(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say("\n[bold]An order from PostgreSQL[/]: by the ORM, by a prepared Core statement, from the cache")
    contenders = [OURS, BARE, *(each for name in chosen if "order" in (each := peers()[name]).does)]
    with race.entrants(bench) as entrants:
        lanes = [Lane(each.name, entrants.serve(each), Work(READ)) for each in contenders]
        if not bench.quick:
            lanes += _other_ways(lanes[0].server, lanes[1].server)
        rounds = race.run(bench, lanes)
    found = all_of("order", rounds)
    part = "the platform's part"
    found.append(over(f"order, {part}", rounds[OURS.name], rounds[BARE.name], BARE.name, READ_OVER_BARE))
    if not bench.quick:
        ours, bare = rounds[BY_CORE], rounds[BARE_BY_CORE]
        found.append(over(f"order by Core, {part}", ours, bare, BARE_BY_CORE, READ_OVER_BARE))
        at_most(found, f"order, {FROM_CACHE}, CPU", KEPT_MOST)
    if USUAL in chosen:
        times(found, f"order, {peers()[USUAL].name}, CPU", f"order, {OURS.name}, CPU", READ_TIMES)
    return _on_postgresql(bench, found)


def _other_ways(ours: Server, bare: Server) -> list[Lane]:
    for path in KEPT:
        ours.json("GET", path)  # a slow warm-up alone would leave some cold
    by_core = Work([f"{path}/core" for path in READ])
    return [Lane(BY_CORE, ours, by_core), Lane(BARE_BY_CORE, bare, by_core), Lane(FROM_CACHE, ours, Work(KEPT))]


async def measure_write(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say("\n[bold]An order placed on PostgreSQL[/]: ours with key, event, audit and tenant; others without")
    contenders = [OURS, BARE, *(each for name in chosen if "write" in (each := peers()[name]).does)]
    work = Work(["/api/v1/orders"], list(rows.bodies(BODIES)))
    with race.entrants(bench) as entrants:
        rounds = race.run(bench, [Lane(each.name, entrants.serve(each), work) for each in contenders])
    found = all_of("write", rounds)
    found.append(over("write, the platform's part", rounds[OURS.name], rounds[BARE.name], BARE.name, WRITE_OVER_BARE))
    if USUAL in chosen:
        times(found, f"write, {peers()[USUAL].name}, CPU", f"write, {OURS.name}, CPU", WRITE_TIMES)
    return _on_postgresql(bench, found)


def _on_postgresql(bench: Bench, found: list[Figure]) -> list[Figure]:
    durability = bench.on_postgresql()
    for figure in found:
        figure.durability = durability
    return found
