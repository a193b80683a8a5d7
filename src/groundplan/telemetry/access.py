"""The access line: one for every request or handler."""

import asyncio
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from groundplan.telemetry.pipeline import RequestRecord
from groundplan.telemetry.plain import printable, text

FLUSH_SECONDS = 0.05
FLUSH_LINES = 500


class _AccessLine(msgspec.Struct, omit_defaults=True):
    time: datetime
    level: str
    event: str
    role: str
    trace_id: str
    span_id: str
    request_id: str
    user_id: str
    tenant: str
    method: str
    path: str
    route: str
    status: int
    duration_ms: float
    error: str = ""


class AccessLines:
    """One JSON line per request or handler, encoded by msgspec and written many at a time: a line costs microseconds.

    A part of the process: lines that wait, a twentieth of a second at most, are written when it closes.
    """

    def __init__(self, stream: TextIO | None = None, *, pretty: bool = False) -> None:
        """``pretty`` writes short lines for a person at a terminal, at once."""
        self._stream = stream or sys.stdout
        self._pretty = pretty
        self._encode = msgspec.json.Encoder().encode
        self._waiting: list[str] = []

    async def open(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        self.flush()

    def write(self, done: RequestRecord) -> None:
        if not (done.path.isascii() and done.error.isascii()):
            done = done._replace(path=text(done.path), error=text(done.error))
        at = datetime.fromtimestamp((done.start_us + done.duration_us) / 1_000_000, UTC)
        self._waiting.append(self._short(at, done) if self._pretty else self._json(at, done))
        if self._pretty or len(self._waiting) >= FLUSH_LINES:
            self.flush()
        elif len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
            except RuntimeError:  # nothing would come back to it
                self.flush()

    def flush(self) -> None:
        """Writes the lines that wait. A closed pipe must not fail the request."""
        lines, self._waiting = self._waiting, []
        if lines:
            with suppress(OSError, ValueError):
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()

    def _json(self, at: datetime, done: RequestRecord) -> str:
        return self._encode(
            _AccessLine(
                time=at,
                level="error" if done.status >= 500 else "info",
                event=done.kind,
                role=done.role,
                trace_id=done.trace_id,
                span_id=done.span_id,
                request_id=done.request_id,
                user_id=done.user,
                tenant=done.tenant,
                method=done.method,
                path=done.path,
                route=done.name,
                status=done.status,
                duration_ms=done.duration_us / 1000,
                error=done.error,
            )
        ).decode()

    def _short(self, at: datetime, done: RequestRecord) -> str:
        what = f"{done.method} {done.path}" if done.method else done.name
        tail = f"  {done.error}" if done.error and done.status >= 500 else ""
        return printable(f"{at:%H:%M:%S} {done.role:<6} {done.status} {done.duration_us / 1000:7.1f} ms  {what}{tail}")
