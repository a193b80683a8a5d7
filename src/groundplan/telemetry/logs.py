"""Structured logs: one JSON object a line, with the ids of the request, secrets hidden, and a copy for the console."""

import logging
import sys
import time
from collections.abc import Callable, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
import structlog

from groundplan.core.context import current
from groundplan.core.redaction import redact
from groundplan.telemetry.pipeline import LogRecord, Sink

_LEVELS = {"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40}
Fields = MutableMapping[str, Any]


def make_logger(level: str, stream: TextIO = sys.stdout, sinks: Sequence[Sink] = (), *, pretty: bool = False) -> Any:
    """A structlog logger of our own; nothing global is configured. ``pretty`` is for a person at a terminal."""
    return structlog.wrap_logger(
        _Output(stream),
        processors=[_with_context, _redacted, _copied_to(sinks), _short_line if pretty else _json_line],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )


def route_library_logs(log: Any) -> None:
    """Sends the standard library's warnings and errors, those of our dependencies, through ``log``."""
    root = logging.getLogger()
    root.handlers = [_ToStructlog(log)]
    root.setLevel(logging.WARNING)


class _Output:
    """The last step: a line that cannot be written is lost, the work that wrote it is not."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    debug = info = warning = warn = error = critical = exception = log = msg


class _ToStructlog(logging.Handler):
    def __init__(self, log: Any) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        write = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        stack = logging.Formatter().formatException(record.exc_info) if record.exc_info else None
        write(record.getMessage(), logger=record.name, **({"stack": stack} if stack else {}))


def _with_context(_: Any, level: str, fields: Fields) -> Fields:
    context = current()
    line: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": level,
        "event": str(fields.pop("event", "")),
    }
    if context is not None:
        line |= {
            "role": context.role,
            "trace_id": context.trace_id,
            "span_id": context.span_id,
            "request_id": context.request_id,
            "user_id": str(context.user_id or ""),
            "tenant": context.tenant,
        }
    return {**line, **fields}


def _redacted(_: Any, __: str, fields: Fields) -> Fields:
    hidden: Fields = redact(fields)
    return hidden


def _copied_to(sinks: Sequence[Sink]) -> Callable[[Any, str, Fields], Fields]:
    known = {"time", "level", "event", "role", "trace_id", "span_id", "request_id", "user_id", "tenant"}

    def copy(_: Any, level: str, fields: Fields) -> Fields:
        copied = LogRecord(
            at_us=time.time_ns() // 1000,
            level=level,
            role=fields.get("role", ""),
            event=fields["event"],
            trace_id=fields.get("trace_id", ""),
            span_id=fields.get("span_id", ""),
            request_id=fields.get("request_id", ""),
            tenant=fields.get("tenant", ""),
            user=fields.get("user_id", ""),
            fields={name: value for name, value in fields.items() if name not in known},
        )
        for sink in sinks:
            sink.logs((copied,))
        return fields

    return copy


def _json_line(_: Any, __: str, fields: Fields) -> str:
    return msgspec.json.encode(fields, enc_hook=str).decode()


def _short_line(_: Any, __: str, fields: Fields) -> str:
    hidden = {"time", "level", "event", "role", "trace_id", "span_id", "request_id", "user_id", "tenant", "stack"}
    rest = " ".join(f"{name}={value}" for name, value in fields.items() if name not in hidden)
    stack = f"\n{fields['stack']}" if fields.get("stack") else ""
    return f"{fields['time'][11:19]} {fields.get('role', ''):<6} {fields['level']}  {fields['event']}  {rest}{stack}"
