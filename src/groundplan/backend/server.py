"""The HTTP server: granian on our event loop, with limits to what a slow or silent client may hold."""

import os
import resource
import socket
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.net import SocketSpec  # type: ignore[attr-defined]
from granian.server.embed import Server

CONNECTIONS = 4096
"""More wait to be accepted."""
HEADER_BUFFER = 65_536
"""Bytes; an address or headers beyond it are refused before they reach us."""
UNREAD_SECONDS = 30
"""A client that takes nothing of a reply for so long is cut off, which only Linux can."""
_FILES = 16_384


class HttpServer(Server):
    """HTTP/1.1 alone: HTTP/2 is spoken by the proxy in front, and detecting it would wait for ever for a first byte."""

    def __init__(self, application: Any, *, host: str, port: int, header_seconds: float) -> None:
        """``header_seconds``: for the headers of a request to come, and for which a connection may be idle."""
        super().__init__(
            application,
            address=host,
            port=port,
            interface=Interfaces.ASGI,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=int(header_seconds * 1000), max_buffer_size=HEADER_BUFFER),
            log_enabled=False,
            log_access=False,
            backlog=2048,
            backpressure=CONNECTIONS,
            websockets=False,
        )
        _allow_files()

    def _init_shared_socket(self) -> None:
        """Makes the listening socket here, since what is set on it holds for every connection that it accepts."""
        holder: Any = SocketSpec(self.bind_addr, self.bind_port, self.backlog).build()
        self._ssp, self._shd, self._sfd = None, holder, holder.get_fd()
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            with socket.socket(fileno=os.dup(holder.get_fd())) as listening:
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)


def _allow_files() -> None:
    """Each connection is one; many systems let a process have 1024 unless it asks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
