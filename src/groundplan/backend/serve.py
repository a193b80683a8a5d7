"""The supervisor of one process: it opens the parts, serves, and on SIGTERM or SIGINT drains and closes them in order.

ready ──signal──▶ draining (readyz 503) ──wait──▶ stop accepting ──▶ drain the worker ──▶ close
"""

import asyncio
import gc
import signal
from contextlib import AsyncExitStack
from typing import Any, Protocol

from groundplan.app.health import Health
from groundplan.backend.server import HttpServer

_OBJECTS_BETWEEN_COLLECTIONS = 5_000


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
    drain_seconds: float,
    header_seconds: float,
    ready: Any = None,
) -> None:
    """Runs until a signal. ``application`` is None for a worker without HTTP; ``ready`` is called once it answers.

    ``readiness_seconds``: how long readiness says no before connections are refused, so that a balancer can notice;
    ``drain_seconds``: how long requests that are at work then have, ``header_seconds`` how long headers may take.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        for part in parts:
            await part.open()
            stack.push_async_callback(part.close)
        _settle_memory()
        if application is None:
            await _run_until(stop, health, ready, 0)  # no balancer sends it anything
            return
        server = HttpServer(application, host=host, port=port, header_seconds=header_seconds)
        serving = asyncio.create_task(server.serve(), name="http server")
        running = asyncio.create_task(_run_until(stop, health, ready, readiness_seconds), name="supervisor")
        done, _ = await asyncio.wait({serving, running}, return_when=asyncio.FIRST_COMPLETED)
        if serving in done:
            running.cancel()
            serving.result()
            return
        server.stop()  # type: ignore[no-untyped-call]
        if await _ends(serving, drain_seconds):
            log.info("stopped serving")
        else:
            log.warning("stopped serving with requests unanswered", after_seconds=drain_seconds)


def _settle_memory() -> None:
    """What was loaded is here to stay: the collector need not look at it again, nor so often at what comes and goes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, 10, 10)


async def _ends(serving: asyncio.Task[None], seconds: float) -> bool:
    done, _ = await asyncio.wait({serving}, timeout=seconds)
    return bool(done)


async def _run_until(stop: asyncio.Event, health: Health, ready: Any, readiness_seconds: float) -> None:
    if ready is not None:
        ready()
    await stop.wait()
    health.draining = True
    await asyncio.sleep(readiness_seconds)
