"""Parts 1 and 2: twenty products from a warm cache in the process, everything on; and the same among 600 routes."""

from benchmarks.common.results import Figure
from benchmarks.http import race
from benchmarks.http.bench import Bench
from benchmarks.http.catalogue import BARE, BARE_FASTAPI, OURS, OURS_600, USUAL, peers
from benchmarks.http.figures import all_of, at_most, believed, over, times
from benchmarks.http.load import Work
from benchmarks.http.race import Lane

WORK = Work(["/api/v1/products"])
MOST, MOST_OVER_BARE = 150.0, 80.0
USUAL_TIMES = 8.0
MORE_PERCENT = 5.0


async def measure(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say("\n[bold]Twenty products from the cache[/]: signed in, traced, logged, counted")
    contenders = [OURS, BARE, *(peers()[name] for name in chosen)]
    with race.entrants(bench) as entrants:
        rounds = race.run(bench, [Lane(each.name, entrants.serve(each), WORK) for each in contenders])
    found = all_of("list", rounds)
    ours = f"list, {OURS.name}, CPU"
    at_most(found, ours, MOST)
    found.append(over("list, the platform's part", rounds[OURS.name], rounds[BARE.name], BARE.name, MOST_OVER_BARE))
    for name, least in ((USUAL, USUAL_TIMES), (BARE_FASTAPI, 1.0)):
        if name in chosen:
            times(found, f"list, {peers()[name].name}, CPU", ours, least)
    return found


async def measure_routes(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say("\n[bold]The same among 600 routes[/]")
    with race.entrants(bench) as entrants:
        rounds = race.run(bench, [Lane(each.name, entrants.serve(each), WORK) for each in (OURS, OURS_600)])
    few, many = rounds[OURS.name], rounds[OURS_600.name]
    found = all_of("routes", rounds)
    more = over("routes, 600 more than a few", many, few, OURS.name, 0.0)
    more.goal = f"within {MORE_PERCENT:g} %"
    more.met = believed(more.ratio is not None and more.ratio <= 1 + MORE_PERCENT / 100, more.note)
    return [*found, more]
