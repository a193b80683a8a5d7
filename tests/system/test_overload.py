"""More than a process can do: it turns some away early, never what matters most, and is well as soon as it is over."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from groundplan.testing.platform import PlatformProcess
from tests.system.conftest import Platform
from tests.system.shopper import Shopper, wait_for

pytestmark = pytest.mark.anyio

CROWD = 250
READ = "GET /api/v1/products?limit=100 HTTP/1.1"
WEBHOOK = "POST /webhooks/in/payments HTTP/1.1"


class Crowd:
    """Connections that ask again as soon as they are answered; ``answers`` counts by what was asked and the status."""

    def __init__(self, process: PlatformProcess) -> None:
        self._port = process.port
        self._tasks: list[asyncio.Task[None]] = []
        self.answers: Counter[tuple[str, int]] = Counter()
        self.without_retry_after = 0

    def add(self, count: int, line: str, body: bytes = b"") -> None:
        head = f"{line}\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        self._tasks += [asyncio.create_task(self._ask(line, head + body)) for _ in range(count)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            assert isinstance(result, asyncio.CancelledError), result

    def statuses(self, line: str) -> dict[int, int]:
        return {status: count for (asked, status), count in self.answers.items() if asked == line}

    async def _ask(self, line: str, request: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while True:
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r")[0]))
                status = int(head[9:12])
                self.answers[line, status] += 1
                self.without_retry_after += status == 503 and b"retry-after: " not in head
        finally:
            writer.close()


async def test_a_crowd_is_served_in_part_and_the_important_in_full(platform: Platform) -> None:
    process = await asyncio.to_thread(platform)
    crowd = Crowd(process)
    crowd.add(CROWD, READ)
    crowd.add(1, WEBHOOK, b"{}")
    crowd.add(1, "GET /healthz HTTP/1.1")

    def enough() -> bool:
        reads, webhooks = crowd.statuses(READ), crowd.statuses(WEBHOOK)
        health = crowd.statuses("GET /healthz HTTP/1.1")
        return reads.get(503, 0) > 500 and reads.get(200, 0) > 100 and sum(webhooks.values()) > 20 and health[200] > 20

    await asyncio.to_thread(wait_for, enough, seconds=60)
    await crowd.stop()
    assert crowd.without_retry_after == 0
    assert set(crowd.statuses(READ)) == {200, 503}
    assert 503 not in crowd.statuses(WEBHOOK), crowd.answers
    assert set(crowd.statuses("GET /healthz HTTP/1.1")) == {200}

    def well_again() -> bool:
        return all(browser.get("/api/v1/products").status_code == 200 for _ in range(20))

    browser = Shopper(process.url).browser
    await asyncio.to_thread(wait_for, well_again)
    told: Any = [line for line in process.lines().splitlines() if "requests turned away" in line]
    assert 0 < len(told) < crowd.statuses(READ)[503] / 10, "together, not one by one"
    metrics = browser.get("/metrics").text
    assert 'groundplan_admission_shed_total{priority="read"}' in metrics
    assert 'groundplan_admission_shed_total{priority="critical"} 0.0' in metrics
