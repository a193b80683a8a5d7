"""A load balancer as small as one can be: round robin over what is ready, another one where a connection is refused."""

import itertools
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

from groundplan.testing.platform import PlatformProcess

POLL_SECONDS = 0.1


class Balancer:
    """A ``with`` block asks each instance for its readiness, again and again."""

    def __init__(self, instances: Sequence[PlatformProcess]) -> None:
        self._addresses = [instance.url.replace("localhost", "127.0.0.1") for instance in instances]
        self._ready = dict.fromkeys(self._addresses, True)
        self._turn = itertools.count()
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch)

    def __enter__(self) -> "Balancer":
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._watcher.join()

    def request(
        self, client: httpx2.Client, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx2.Response:
        """Sent to a ready instance under our own name. Raises where it breaks off, or nobody takes it."""
        sent = {**(headers or {}), "host": "localhost", "origin": "http://localhost"}
        for _ in range(20 * len(self._addresses)):
            address = self._addresses[next(self._turn) % len(self._addresses)]
            if not self._ready[address]:
                continue
            try:
                return client.request(method, f"{address}{path}", headers=sent, **more)
            except httpx2.ConnectError:
                self._ready[address] = False
        raise RuntimeError("no instance is ready")

    def _watch(self) -> None:
        with httpx2.Client(timeout=5, trust_env=False) as client:
            while not self._stop.wait(POLL_SECONDS):
                for address in self._addresses:
                    try:
                        self._ready[address] = client.get(f"{address}/readyz").status_code == 200
                    except httpx2.HTTPError:
                        self._ready[address] = False
