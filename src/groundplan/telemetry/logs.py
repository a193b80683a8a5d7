"""Structured logs: one JSON object a line, with the ids of the request, secrets hidden, and a copy for the console."""

import logging
import sys
import time
import traceback
from collections.abc import Callable, MutableMapping, Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
import structlog

from groundplan.core.context import current
from groundplan.telemetry.pipeline import LogRecord, Sink
from groundplan.telemetry.plain import plain, printable

_LEVELS = {"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40}
_IDS = ("role", "trace_id", "span_id", "request_id", "user_id", "tenant")
_HEAD = {"time", "level", "event", *_IDS}
_MOST_DETAIL = 2_000
_MOST_STACK = 8_000
_DIM, _NORMAL = "\x1b[2m", "\x1b[0m"
Fields = MutableMapping[str, Any]


def make_logger(level: str, stream: TextIO | None = None, sinks: Sequence[Sink] = (), *, pretty: bool = False) -> Any:
    """A structlog logger of our own; nothing global is configured. ``pretty`` is for a person at a terminal.

    A field named like one of the line's own keys gets a ``_`` behind its name. ``exc_info`` becomes ``error``,
    ``detail`` and ``stack``. Logging never raises, whatever the fields hold and wherever the stream went.
    """
    return structlog.wrap_logger(
        _Output(stream or sys.stdout),
        processors=[_complete, _copied_to(sinks), _short_line if pretty else _json_line],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        cache_logger_on_first_use=True,
    )


def route_library_logs(log: Any) -> None:
    """Sends what our dependencies warn of, through the standard library's logging or warnings, to ``log``."""
    root = logging.getLogger()
    root.handlers = [_ToStructlog(log)]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)


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

    debug = info = warning = error = critical = msg


class _ToStructlog(logging.Handler):
    def __init__(self, log: Any) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = record.getMessage()
        except Exception:
            event = str(record.msg)  # the library's own mistake: arguments that do not fit
        write = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        write(event, logger=record.name, exc_info=record.exc_info)


def _complete(_: Any, level: str, fields: Fields) -> Fields:
    """The line: its time, level and event, the ids of the request, then the fields."""
    event = fields.pop("event", "")
    rest = plain({"event": event if isinstance(event, str) else str(event), **_raised(fields)})
    line: dict[str, Any] = {
        "time": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": "error" if level == "critical" else level,
        "event": rest.pop("event"),
    }
    context = current()
    if context is not None:
        line |= {
            "role": context.role,
            "trace_id": context.trace_id,
            "span_id": context.span_id,
            "request_id": context.request_id,
            "user_id": str(context.user_id or ""),
            "tenant": context.tenant,
        }
    return line | {f"{name}_" if name in line else name: value for name, value in rest.items()}


def _raised(fields: Fields) -> Fields:
    """The fields with ``exc_info``, in each of its three forms, spelled out."""
    found = fields.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if not isinstance(error, BaseException):
        return fields
    try:
        detail, stack = str(error), "".join(traceback.format_exception(error))
    except Exception:
        detail, stack = "", ""  # an exception that cannot say what it is
    known = {"error": type(error).__name__, "detail": detail[:_MOST_DETAIL], "stack": stack[-_MOST_STACK:]}
    return known | dict(fields)


def _copied_to(sinks: Sequence[Sink]) -> Callable[[Any, str, Fields], Fields]:
    def copy(_: Any, __: str, line: Fields) -> Fields:
        role, trace_id, span_id, request_id, user, tenant = (str(line.get(name, "")) for name in _IDS)
        copied = LogRecord(
            at_us=time.time_ns() // 1000,
            level=line["level"],
            role=role,
            event=line["event"],
            trace_id=trace_id,
            span_id=span_id,
            request_id=request_id,
            tenant=tenant,
            user=user,
            fields={name: value for name, value in line.items() if name not in _HEAD},
        )
        for sink in sinks:
            sink.logs((copied,))
        return line

    return copy


def _json_line(_: Any, __: str, line: Fields) -> str:
    return msgspec.json.encode(line).decode()


def _short_line(_: Any, __: str, line: Fields) -> str:
    rest = " ".join(f"{name}={value}" for name, value in line.items() if name not in _HEAD and name != "stack")
    role, level, event = line.get("role", ""), line["level"], line["event"]
    said = printable(f"{line['time'][11:19]} {role:<6} {level:<7} {event}  {rest}".rstrip())
    ids = " ".join(printable(str(line[name])) for name in ("trace_id", "request_id") if line.get(name))
    stack = "".join(f"\n{printable(row)}" for row in str(line.get("stack", "")).splitlines())
    return f"{said}{f'  {_DIM}{ids}{_NORMAL}' if ids else ''}{stack}"
