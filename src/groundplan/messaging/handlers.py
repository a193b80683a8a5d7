"""Handlers, and the registry of those that this release knows."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from groundplan.core.errors import ConfigurationError
from groundplan.core.retry import Retry
from groundplan.messaging.message import Message, message_name, missing_steps

if TYPE_CHECKING:
    from groundplan.messaging.schedules import Schedule

NORMAL_PRIORITY = 100


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` starts within ``seconds``, over all workers; unused ones are saved up to ``count``."""

    count: int
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Unique:
    """An equal job is not enqueued again while one is queued or running, or for ``period`` seconds.

    Equal means the same ``key``, made from the job; by default its whole payload.
    """

    key: Callable[[Any], str] | None = None
    period: float | None = None


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that consumes one kind of message, under an explicit name that outlives renames in the code."""

    name: str
    message: type[Message]
    function: Callable[..., Awaitable[None]]
    kind: str = "event"
    retry: Retry = field(default_factory=Retry)
    timeout: float = 30.0
    """Seconds; must stay under 0.8 of the worker's lease."""
    queue: str = "default"
    priority: int = NORMAL_PRIORITY
    """Lower runs first."""
    concurrency: int | None = None
    """The most that run at once, over all workers."""
    rate: Rate | None = None
    unique: Unique | None = None
    schedule: "Schedule | None" = None

    @property
    def message_name(self) -> str:
        return message_name(self.message)

    @property
    def version(self) -> int:
        return self.message.version

    @property
    def limited(self) -> bool:
        return self.concurrency is not None or self.rate is not None

    @property
    def direct(self) -> bool:
        """Whether the database hands it out even where a broker does the rest: it takes a look at other rows."""
        return self.limited or self.unique is not None or self.priority != NORMAL_PRIORITY


class Handlers:
    """All handlers of one release, by name."""

    def __init__(self, handlers: Iterable[Handler] = ()) -> None:
        self._by_name: dict[str, Handler] = {}
        self._job_handlers: dict[str, Handler] = {}
        for handler in handlers:
            self._add(handler)
        self._check_versions()

    def _add(self, handler: Handler) -> None:
        if handler.name in self._by_name:
            raise ConfigurationError(f"Two handlers are named {handler.name!r}. Give one of them another name.")
        self._by_name[handler.name] = handler
        if handler.schedule is not None:
            handler.schedule.check(handler.name)
        elif handler.kind == "job":
            if handler.message_name in self._job_handlers:
                raise ConfigurationError(f"The job {handler.message_name!r} has two handlers; a job has exactly one.")
            self._job_handlers[handler.message_name] = handler

    def _check_versions(self) -> None:
        lacking = {handler.message: missing for handler in self if (missing := missing_steps(handler.message))}
        if lacking:
            raise ConfigurationError(
                "\n".join(
                    f"{kind.__qualname__} is at version {kind.version} and cannot lift version "
                    f"{', '.join(map(str, missing))}. Give it a step in `upcasts` for each, or raise `oldest` once "
                    "none of them waits any more."
                    for kind, missing in lacking.items()
                )
            )

    def __iter__(self) -> Iterator[Handler]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __getitem__(self, name: str) -> Handler:
        return self._by_name[name]

    def get(self, name: str) -> Handler | None:
        return self._by_name.get(name)

    def for_job(self, kind: type[Message]) -> Handler:
        name = message_name(kind)
        try:
            return self._job_handlers[name]
        except KeyError:
            raise ConfigurationError(
                f"No handler is declared for the job {name!r}. Declare one with @feature.job({kind.__name__}, ...)."
            ) from None

    def known_versions(self) -> dict[str, int]:
        """What this release may claim: handler name -> the newest version it understands."""
        return {handler.name: handler.version for handler in self}

    def check_timeouts(self, lease: float) -> None:
        """Raises ConfigurationError where a handler may outlive 0.8 of the lease, in seconds."""
        slow = [h for h in self if h.timeout > 0.8 * lease]
        if slow:
            names = ", ".join(f"{h.name} ({h.timeout:g} s)" for h in slow)
            raise ConfigurationError(
                f"The lease is {lease:g} s, so a handler may take {0.8 * lease:g} s at most: {names}. "
                "Raise WORKER_LEASE_SECONDS or lower the timeout."
            )


def subscription_rows(handlers: Iterable[Handler]) -> list[dict[str, Any]]:
    return [
        {
            "event_name": h.message_name,
            "handler": h.name,
            "version": h.version,
            "queue": h.queue,
            "priority": h.priority,
            "direct": int(h.direct),
        }
        for h in handlers
        if h.kind == "event"
    ]
