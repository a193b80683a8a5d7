"""Mending a dead letter from a terminal, beside nothing or a running server."""

import asyncio
import json
from pathlib import Path
from uuid import UUID

import pytest

from groundplan.cli.dead_letters import changed
from groundplan.core.errors import Invalid
from groundplan.data.database.sql import Sql
from tests.cli.test_commands import Command, groundplan
from tests.databases import opened

__all__ = ["groundplan"]

_DEAD = Sql("""INSERT INTO dead_letters (id, kind, name, handler, version, queue, priority, request_id, traceparent,
    occurred_at, payload, attempt, crashes, reason, error, detail, stack, died_at)
    VALUES (:id, 'event', 'order.paid', 'orders.send_receipt', 1, 'default', 100, 'r', '', NOW, :payload, 1, 0,
    'invalid', 'InvalidPayload', 'wrong', '', NOW)""")
ID = UUID(int=5)


def _bury(folder: Path, *ids: UUID) -> None:
    payload = {"order_id": str(ID), "number": "NM-1", "email": "mara@@northside.example", "total_cents": 100}

    async def bury() -> None:
        async with opened(f"sqlite+aiosqlite:///{folder}/var/app.db") as database:
            for each in ids or (ID,):
                await database.execute(_DEAD, id=each, payload=json.dumps(payload))

    asyncio.run(bury())


def _rows(folder: Path, sql: str) -> list[str]:
    async def read() -> list[str]:
        async with opened(f"sqlite+aiosqlite:///{folder}/var/app.db") as database:
            return [str(row[0]) for row in await database.execute(Sql(sql))]

    return asyncio.run(read())


def test_found_mended_and_replayed(groundplan: Command) -> None:
    groundplan("migrate")
    _bury(groundplan.folder)
    assert groundplan("dead-letters", "list").returncode == 1, "a finding"
    shown = groundplan("dead-letters", "show", str(ID))
    assert shown.returncode == 0 and "mara@@northside.example" in shown.stdout
    refused = groundplan("dead-letters", "replay", str(ID), "--set", "email=still@@wrong")
    assert refused.returncode == 2 and "email" in refused.stderr
    assert _rows(groundplan.folder, "SELECT id FROM deliveries") == []
    done = groundplan("dead-letters", "replay", str(ID), "--set", "email=mara@northside.example")
    assert done.returncode == 0, done.stderr
    assert _rows(groundplan.folder, "SELECT id FROM deliveries") == [str(ID)]
    assert _rows(groundplan.folder, "SELECT action FROM audit_log") == ["dead-letter.replay"]
    assert groundplan("dead-letters", "list").returncode == 0


def test_dropped_with_a_reason(groundplan: Command) -> None:
    groundplan("migrate")
    _bury(groundplan.folder)
    assert groundplan("dead-letters", "drop", str(ID), "--reason", "the customer called").returncode == 0
    assert "the customer called" in _rows(groundplan.folder, "SELECT detail FROM audit_log")[0]


def test_many_are_grouped_replayed_at_a_rate_dropped_and_pruned(groundplan: Command) -> None:
    groundplan("migrate")
    _bury(groundplan.folder, *map(UUID, (f"{number:032x}" for number in range(4))))
    grouped = groundplan("dead-letters", "groups", "--by", "handler,reason", "--json")
    assert grouped.returncode == 1, "a finding"
    (group,) = json.loads(grouped.stdout)
    assert (group["handler"], group["reason"], group["count"]) == ("orders.send_receipt", "invalid", 4)
    for words in (
        "replay",
        "drop --reason x",
        "replay --since never",
        "replay --handler x --rate fast",
        "groups --by x",
    ):
        assert groundplan("dead-letters", *words.split()).returncode == 2, words
    done = groundplan("dead-letters", "replay", "--handler", "orders.send_receipt", "--rate", "2/s", "--json")
    assert json.loads(done.stdout) == {"replayed": 4, "rate": 2.0}, done.stderr
    due = [int(at) for at in _rows(groundplan.folder, "SELECT run_at FROM deliveries ORDER BY run_at")]
    assert [round((after - due[0]) / 100_000) for after in due] == [0, 5, 10, 15], "tenths of a second"
    _bury(groundplan.folder, UUID(int=9))
    dropped = groundplan("dead-letters", "drop", "--all", "--reason", "a test", "--json")
    assert json.loads(dropped.stdout) == {"dropped": 1}
    pruned = groundplan("dead-letters", "prune", "--older-than", "1", "--json")
    assert json.loads(pruned.stdout) == {"dead_letters": 0, "attempts": 0}
    actions = _rows(groundplan.folder, "SELECT action FROM audit_log ORDER BY at")
    assert actions == ["dead-letters.replay", "dead-letters.drop"]
    assert groundplan("dead-letters", "prune", "--older-than", "0").returncode == 2


def test_a_queue_is_paused_resumed_and_a_message_cancelled(groundplan: Command) -> None:
    groundplan("migrate")
    assert groundplan("queue", "pause", "default").returncode == 0
    assert "default is paused" in groundplan("queue").stdout
    assert groundplan("queue", "resume", "default").returncode == 0
    assert "paused" not in groundplan("queue", "stats").stdout
    unknown = groundplan("queue", "pause", "defualt")
    assert unknown.returncode == 2 and "There are: default" in unknown.stderr
    _bury(groundplan.folder)
    groundplan("dead-letters", "replay", str(ID))
    assert groundplan("queue", "cancel", str(ID)).returncode == 0
    assert groundplan("queue", "cancel", str(ID)).returncode == 2
    assert _rows(groundplan.folder, "SELECT id FROM deliveries") == []


def test_changes_reach_into_objects_and_keep_types() -> None:
    payload = {"number": 1, "to": {"email": "a", "tags": []}, "name": "7"}
    assert changed(payload, ["number=2", "to.email=b", "name=8", 'to.tags=["x"]', "new=text"]) == {
        "number": 2,
        "to": {"email": "b", "tags": ["x"]},
        "name": "8",
        "new": "text",
    }
    assert payload["number"] == 1
    for wrong in ("no equals sign", "=x", "number.inner=1", "missing.inner=1"):
        with pytest.raises(Invalid):
            changed(payload, [wrong])
