"""Part 5: a page of 24 products, rendered by the web part, which calls the API in its own process."""

from benchmarks.common.results import Figure
from benchmarks.http import race
from benchmarks.http.bench import Bench
from benchmarks.http.catalogue import OURS_WEB
from benchmarks.http.figures import all_of, at_most
from benchmarks.http.load import Work
from benchmarks.http.race import Lane

PATH, KEPT = "/shelf", "/window"
MOST, KEPT_MOST = 1_200.0, 150.0


async def measure(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say("\n[bold]A page of 24 products[/]: through web and API in one process; and one that is kept")
    whole, known = f"{OURS_WEB.name}, kept", f"{OURS_WEB.name}, 304"
    with race.entrants(bench) as entrants:
        server = entrants.serve(OURS_WEB)
        etag = server.headers_of(KEPT)["etag"]
        lanes = [
            Lane(OURS_WEB.name, server, Work([PATH])),
            Lane(whole, server, Work([KEPT], signed_in=False)),
            Lane(known, server, Work([KEPT], headers={"If-None-Match": etag}, signed_in=False)),
        ]
        rounds = race.run(bench, lanes)
    found = all_of("page", rounds)
    at_most(found, f"page, {OURS_WEB.name}, CPU", MOST)
    for name in (whole, known):
        at_most(found, f"page, {name}, CPU", KEPT_MOST)
    for figure in found:
        figure.durability = bench.on_postgresql()
    return found
