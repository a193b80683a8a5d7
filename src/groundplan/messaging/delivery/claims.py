"""How deliveries are handed out: to slots of a worker, to a relay, or one by one where limits hold."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from groundplan.core.errors import GroundplanError
from groundplan.core.ids import uuid7
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Row, Sql, as_instant, as_uuid
from groundplan.messaging.handlers import Handler
from groundplan.messaging.message import Delivery

PLACE_SECONDS = 0.2
"""For so long a claim may pass over what has become ready before the place where the last one ended."""
SUSPECT_CRASHES = 2
"""Once may be a deployment. From here on a delivery runs alone, so that only the killer is found guilty."""


class _Place(NamedTuple):
    """In the order of what is ready, at a time of the event loop."""

    priority: int
    run_at: datetime
    seen: float


class Claims:
    """``lease`` in seconds; ``worker`` is the name it is held under.

    In a long queue a claim goes on where the one before ended, for a moment: on PostgreSQL what others have taken lies
    at the beginning of the index until it is vacuumed, and to pass it costs more than the claim.
    """

    def __init__(self, database: Database, *, lease: float, worker: str) -> None:
        self._database = database
        self._lease = lease
        self._worker = worker
        self._places: dict[Sql, _Place] = {}

    async def claim(
        self, known: dict[str, int], slots: int, *, paused: Iterable[str] = (), direct_only: bool = False
    ) -> list[Delivery]:
        """Up to ``slots`` ready deliveries whose handler and version are ``known``, by priority, then oldest first.

        Of a partition key only the first one is handed out. ``direct_only`` leaves the others to a broker.
        """
        return await self._claim(_CLAIM_DIRECT if direct_only else _CLAIM, known, slots, paused)

    async def claim_suspect(self, known: dict[str, int], *, paused: Iterable[str] = ()) -> Delivery | None:
        """One whose workers have died, to be run alone."""
        claimed = await self._claim(_CLAIM_SUSPECT, known, 1, paused)
        return claimed[0] if claimed else None

    async def hand_off(self, known: dict[str, int], batch: int, *, paused: Iterable[str] = ()) -> list[Delivery]:
        """Up to ``batch`` that a broker may have; they are deleted once it has confirmed them."""
        return await self._claim(_HAND_OFF, known, batch, paused)

    async def claim_limited(self, handler: Handler, slots: int, *, paused: Iterable[str] = ()) -> list[Delivery]:
        """As many as the handler's limits leave room for. Workers take turns by the handler's row."""
        if handler.queue in paused:
            return []
        async with self._database.transaction(None) as transaction:
            rate = handler.rate
            full = float(rate.count) if rate else 0.0
            await transaction.execute(_KEEP_LIMIT, handler=handler.name, full=full)
            limit = await transaction.execute(_TAKE_TURN, handler=handler.name)
            if not limit:
                return []
            room = slots
            if handler.concurrency is not None:
                running = await transaction.execute(_RUNNING, handler=handler.name)
                room = min(room, handler.concurrency - int(running[0].n))
            tokens = 0.0
            if rate is not None:
                tokens = min(full, limit[0].tokens + max(0.0, float(limit[0].waited)) * rate.count / rate.seconds)
                room = min(room, int(tokens))
            if room <= 0:
                return []
            known = {handler.name: handler.version}
            values = {"slots": room, "paused": "[]", **_BEGINNING, **self._lease_values(known)}
            claimed = [_delivery(row, values["token"]) for row in await transaction.execute(_CLAIM, **values)]
            await transaction.execute(_SPEND, handler=handler.name, tokens=tokens - len(claimed))
        return claimed

    async def _claim(self, sql: Sql, known: dict[str, int], limit: int, paused: Iterable[str]) -> list[Delivery]:
        values = {"paused": json.dumps(list(paused)), **self._lease_values(known)}
        now, place = asyncio.get_running_loop().time(), self._places.pop(sql, None)
        rows: list[Row] = []
        if place is not None and now - place.seen < PLACE_SECONDS:
            after = {"priority": place.priority, "run_at": place.run_at}
            rows += await self._database.execute(sql, slots=limit, **after, **values)
        else:
            place = None
        if len(rows) < limit:
            place = None
            try:
                rows += await self._database.execute(sql, slots=limit - len(rows), **_BEGINNING, **values)
            except GroundplanError:
                if not rows:  # else they are ours already
                    raise
        claimed = sorted((_delivery(row, values["token"]) for row in rows), key=_turn)
        if len(claimed) == limit and self._database.dialect == "postgresql":
            last = claimed[-1]
            self._places[sql] = _Place(last.priority, last.run_at, now if place is None else place.seen)
        return claimed

    def _lease_values(self, known: dict[str, int]) -> dict[str, Any]:
        return {"known": json.dumps(known), "lease": self._lease, "token": uuid7(), "worker": self._worker}


def _turn(delivery: Delivery) -> tuple[int, object]:
    return delivery.priority, delivery.run_at


def _delivery(row: Row, token: UUID) -> Delivery:
    """The row of a claim with ``token``; SQLite has ids as text and times as numbers."""
    values = list(row)
    if isinstance(row.id, str):
        for place in _IDS:
            if values[place] is not None:
                values[place] = as_uuid(values[place])
        for place in _TIMES:
            values[place] = as_instant(values[place])
        values[_TOKEN] = token
    return Delivery(*values)


COLUMNS: Sequence[str] = Delivery.__struct_fields__[:-2]
"""A delivery's columns in the table and in the struct; token and payload follow."""
_BEGINNING = {"priority": -(2**31), "run_at": datetime(1970, 1, 1, tzinfo=UTC)}
_IDS = [COLUMNS.index(name) for name in ("id", "event_id", "tenant_id", "user_id")]
_TIMES = [COLUMNS.index(name) for name in ("occurred_at", "run_at")]
_TOKEN = len(COLUMNS)
_QUALIFIED = ", ".join(f"d.{column}" for column in COLUMNS)


def _claiming(condition: str, *, state: str = "leased", counted: int = 1) -> Sql:
    """``counted``: what is added to the attempts. A row that others hold is passed over, not waited for."""
    ready = f"""d.state = 'ready' AND d.run_at <= NOW {condition}"""
    in_turn = """(d.partition_key IS NULL OR NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.handler = d.handler
            AND e.partition_key = d.partition_key AND (e.POSITION < d.POSITION OR e.state = 'leased')))"""
    changes = f"""state = '{state}', lease_token = :token, lease_until = NOW + SECONDS(:lease), worker = :worker,
        attempt = attempt + {counted}"""
    return Sql(
        relaxed=True,  # a claim that a crash undoes is a message that is ready again
        postgresql=f"""
        WITH next AS MATERIALIZED (
            SELECT d.id FROM deliveries d
            WHERE {ready} AND {in_turn.replace("POSITION", "position")}
                AND d.version <= CAST(CAST(:known AS jsonb) ->> d.handler AS integer)
                AND NOT CAST(:paused AS jsonb) ? d.queue
                AND (d.priority, d.run_at) >= (:priority, :run_at)
            ORDER BY d.priority, d.run_at LIMIT :slots FOR UPDATE SKIP LOCKED
        )
        UPDATE deliveries d SET {changes.replace("= attempt", "= d.attempt")}
        FROM next WHERE d.id = next.id
        RETURNING {_QUALIFIED}, d.lease_token, CAST(d.payload AS TEXT) AS payload
        """,
        sqlite=f"""
        UPDATE deliveries SET {changes}
        WHERE rowid IN (
            SELECT d.rowid FROM deliveries d
            WHERE {ready} AND {in_turn.replace("POSITION", "rowid")}
                AND d.version <= json_extract(:known, '$."' || d.handler || '"')
                AND d.queue NOT IN (SELECT value FROM json_each(:paused))
            ORDER BY d.priority, d.run_at LIMIT :slots
        )
        RETURNING {", ".join(COLUMNS)}, lease_token, CAST(payload AS TEXT) AS payload
        """,
    )


_CLAIM = _claiming(f"AND d.crashes < {SUSPECT_CRASHES}")
_CLAIM_DIRECT = _claiming(f"AND d.direct = 1 AND d.crashes < {SUSPECT_CRASHES}")
_CLAIM_SUSPECT = _claiming(f"AND d.crashes >= {SUSPECT_CRASHES}")
_HAND_OFF = _claiming(f"AND d.direct = 0 AND d.crashes < {SUSPECT_CRASHES}", state="handed off", counted=0)

_KEEP_LIMIT = Sql("""INSERT INTO handler_limits (handler, tokens, at) VALUES (:handler, :full, NOW)
    ON CONFLICT (handler) DO NOTHING""")
_TAKE_TURN = Sql(
    postgresql="""SELECT tokens, EXTRACT(EPOCH FROM NOW - at) AS waited FROM handler_limits
    WHERE handler = :handler FOR UPDATE SKIP LOCKED""",
    sqlite="SELECT tokens, (NOW - at) / 1000000.0 AS waited FROM handler_limits WHERE handler = :handler",
)
_RUNNING = Sql("SELECT COUNT(*) AS n FROM deliveries WHERE handler = :handler AND state = 'leased'")
_SPEND = Sql("UPDATE handler_limits SET tokens = :tokens, at = NOW WHERE handler = :handler")
