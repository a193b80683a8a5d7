"""The supervisor of one process: it opens the parts, serves, and on SIGTERM or SIGINT drains and closes them in order.

ready ──signal──▶ draining (readyz 503) ──wait──▶ stop accepting ──▶ drain the worker ──▶ close
"""

import asyncio
import signal
from contextlib import AsyncExitStack
from typing import Any, Protocol

from granian.constants import Interfaces
from granian.server.embed import Server

from groundplan.app.health import Health


class Part(Protocol):
    """Something with a life: a database, a cache, a worker."""

    async def open(self) -> None: ...
    async def close(self) -> None: ...


async def serve(
    application: Any,
    parts: list[Part],
    health: Health,
    log: Any,
    *,
    host: str,
    port: int,
    readiness_seconds: float,
    ready: Any = None,
) -> None:
    """Runs until a signal. ``application`` is None for a worker without HTTP; ``ready`` is called once it answers.

    ``readiness_seconds``: how long readiness says no before connections are refused, so that a balancer can notice.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        for part in parts:
            await part.open()
            stack.push_async_callback(part.close)
        if application is None:
            await _run_until(stop, health, ready, readiness_seconds)
            return
        server = Server(
            application,
            address=host,
            port=port,
            interface=Interfaces.ASGI,
            log_enabled=False,
            log_access=False,
            backlog=2048,
            websockets=False,
        )
        serving = asyncio.create_task(server.serve(), name="http server")
        running = asyncio.create_task(_run_until(stop, health, ready, readiness_seconds), name="supervisor")
        done, _ = await asyncio.wait({serving, running}, return_when=asyncio.FIRST_COMPLETED)
        if serving in done:
            running.cancel()
            serving.result()
            return
        server.stop()  # type: ignore[no-untyped-call]
        await serving
        log.info("stopped serving")


async def _run_until(stop: asyncio.Event, health: Health, ready: Any, readiness_seconds: float) -> None:
    if ready is not None:
        ready()
    await stop.wait()
    health.draining = True
    await asyncio.sleep(readiness_seconds)
