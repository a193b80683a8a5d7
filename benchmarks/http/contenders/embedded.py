"""Serves ``module:name`` on a port with granian in this process, as the platform does: same loop, same options."""

import asyncio
import importlib
import signal
import sys

from granian.constants import Interfaces
from granian.server.embed import Server


async def main(path: str, port: int) -> None:
    module, _, name = path.partition(":")
    server = Server(
        getattr(importlib.import_module(module), name),
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        log_enabled=False,
        log_access=False,
        backlog=2048,
        websockets=False,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.serve()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
