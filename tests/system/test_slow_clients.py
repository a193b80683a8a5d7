"""Clients that take their time, on real sockets: none of them holds a connection for long, and others are served."""

import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from groundplan.testing.platform import PlatformProcess
from tests.system.shopper import Shopper, wait_for

PATIENCE = 30


@pytest.fixture(params=["sqlite"])
def environment(project: Path, seeded_sqlite: Path) -> dict[str, str]:
    (project / "var").mkdir()
    (project / "var" / "app.db").write_bytes(seeded_sqlite.read_bytes())
    return {
        "DATABASE_URL": f"sqlite:///{project}/var/app.db",
        "HEADER_SECONDS": "1",
        "BODY_SECONDS": "1",
        "DRAIN_SECONDS": "1",
    }


@pytest.fixture
def process(platform: Any) -> PlatformProcess:
    started: PlatformProcess = platform()
    return started


@pytest.fixture
def connection(process: PlatformProcess) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", process.port), timeout=PATIENCE) as connection:
        yield connection


def _all_of(connection: socket.socket) -> bytes:
    """What is sent until the connection is closed."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


def _status(connection: socket.socket) -> bytes:
    return connection.recv(65536)[9:12]


def _drip(connection: socket.socket, part: bytes) -> bytes:
    """Sends a little again and again until the other side has had enough."""
    connection.settimeout(0.1)

    def had_enough() -> bytes | None:
        try:
            connection.sendall(part)
            return connection.recv(65536) or b"closed"
        except TimeoutError:
            return None
        except OSError:
            return b"closed"

    return wait_for(had_enough) or b""


def test_a_connection_that_says_nothing_is_closed(connection: socket.socket) -> None:
    assert _all_of(connection) == b""


def test_headers_that_drip_are_cut_off(connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
    assert _drip(connection, b"a: b\r\n") == b"closed"


def test_a_body_that_drips_is_a_408(process: PlatformProcess, connection: socket.socket) -> None:
    connection.sendall(
        b"POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100000\r\n\r\n"
    )
    answer = _drip(connection, b" ")
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert b"connection: close" in answer
    assert Shopper(process.url).browser.get("/").status_code == 200


def test_many_bodies_that_drip_leave_room_for_others(process: PlatformProcess) -> None:
    """More of them than may be at work at once."""
    head = b"POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
    slow = [socket.create_connection(("127.0.0.1", process.port), timeout=PATIENCE) for _ in range(150)]
    try:
        for connection in slow:
            connection.sendall(head)
        assert Shopper(process.url).browser.get("/").status_code == 200
        statuses = Counter(_status(connection) for connection in slow)
        assert set(statuses) <= {b"408", b"503"} and statuses[b"408"] > 50, statuses
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie: " + b"x" * 200_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"431"),
        (b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"431"),
        (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"414"),
    ],
    ids=["long header", "many headers", "very long address", "long address"],
)
def test_what_is_too_large_is_refused(connection: socket.socket, head: bytes, status: bytes) -> None:
    connection.sendall(head)
    assert connection.recv(65536).startswith(b"HTTP/1.1 " + status)


def test_a_client_that_never_reads_does_not_keep_the_process(
    process: PlatformProcess, connection: socket.socket
) -> None:
    for _ in range(300):
        try:
            connection.sendall(b"GET /api/v1/products?limit=100 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        except OSError:
            break
    assert Shopper(process.url).browser.get("/").status_code == 200
    assert process.stop() == 0


def test_a_request_that_outlasts_the_drain_does_not_keep_the_process(platform: Any, project: Path) -> None:
    process = platform()
    with socket.create_connection(("127.0.0.1", process.port), timeout=PATIENCE) as connection:
        connection.sendall(b"POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
        assert process.stop() == 0
