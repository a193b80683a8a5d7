"""SQLAlchemy's pool, for sessions that read, which knows for how long somebody has waited for a connection."""

import time
from typing import Any

from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry


class WatchedPool(AsyncAdaptedQueuePool):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._since: dict[object, float] = {}

    @property
    def waiting(self) -> float:
        """Seconds that the first in the queue has stood there; 0 where there is no queue."""
        first = next(iter(self._since.values()), None)
        return 0.0 if first is None else time.monotonic() - first

    def _do_get(self) -> ConnectionPoolEntry:
        who = object()
        self._since[who] = time.monotonic()
        try:
            return super()._do_get()
        finally:
            del self._since[who]
