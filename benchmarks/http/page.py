"""Part 5: a page of 24 products, rendered by the web part, which calls the API in its own process."""

from benchmarks.common.results import Figure
from benchmarks.http import race
from benchmarks.http.bench import Bench
from benchmarks.http.catalogue import OURS_WEB
from benchmarks.http.figures import all_of, at_most
from benchmarks.http.load import Work
from benchmarks.http.race import Lane

PATH = "/shelf"
MOST, KEPT_MOST = 1_200.0, 150.0
NOT_THERE = "not available: the page has no ETag, so there is nothing to answer 304 to"


async def measure(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say("\n[bold]A page of 24 products[/]: rendered, through web and API in one process")
    known = f"{OURS_WEB.name}, 304"
    with race.entrants(bench) as entrants:
        server = entrants.serve(OURS_WEB)
        lanes = [Lane(OURS_WEB.name, server, Work([PATH]))]
        if etag := server.headers_of(PATH).get("etag"):
            lanes.append(Lane(known, server, Work([PATH], headers={"If-None-Match": etag})))
        rounds = race.run(bench, lanes)
    found = all_of("page", rounds)
    at_most(found, f"page, {OURS_WEB.name}, CPU", MOST)
    if known in rounds:
        at_most(found, f"page, {known}, CPU", KEPT_MOST)
    else:
        goal = f"<= {KEPT_MOST:.0f} us/request"
        found.append(
            Figure(name=f"page, {known}, CPU", value=None, unit="us/request", goal=goal, met=False, note=NOT_THERE)
        )
    for figure in found:
        figure.durability = bench.on_postgresql()
    return found
