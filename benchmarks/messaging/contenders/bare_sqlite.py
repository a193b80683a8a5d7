"""The same on SQLite: claim in batches, with a lease and a token, then run and delete in batches. No platform."""

import sqlite3
import sys
import time
from uuid import uuid4

from benchmarks.messaging.contenders.task import NOTE, Meter, Task

PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "cache_size=-16000")
TABLE = """
CREATE TABLE jobs (id TEXT PRIMARY KEY, kind TEXT NOT NULL, payload TEXT NOT NULL, state TEXT NOT NULL,
    run_at REAL NOT NULL, lease_token TEXT, lease_until REAL)
"""
READY = "CREATE INDEX jobs_ready ON jobs (run_at) WHERE state = 'ready'"
LEASED = "CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'leased'"
FILL = (
    "INSERT INTO jobs (id, kind, payload, state, run_at) VALUES (?, ?, json_object('number', ?, 'note', ?), 'ready', ?)"
)
CLAIM = """
UPDATE jobs SET state = 'leased', lease_token = ?, lease_until = ? WHERE id IN (
    SELECT id FROM jobs WHERE state = 'ready' AND run_at <= ? ORDER BY run_at LIMIT ?
) RETURNING id, payload ->> 'number', payload ->> 'note'
"""
DELETE = "DELETE FROM jobs WHERE id = ? AND lease_token = ?"
AT_A_TIME = 500
LEASE_SECONDS = 45.0


def connect(task: Task) -> sqlite3.Connection:
    connection = sqlite3.connect(task.database_url.removeprefix("sqlite:///"), isolation_level=None)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    return connection


def fill(task: Task) -> None:
    connection, now = connect(task), time.time()
    for statement in (TABLE, READY, LEASED, "BEGIN IMMEDIATE"):
        connection.execute(statement)
    connection.executemany(FILL, [(str(uuid4()), task.kind, n, NOTE, now + n / 1e6) for n in range(task.jobs)])
    connection.execute("COMMIT")
    connection.close()


def work(task: Task) -> None:
    connection, meter = connect(task), Meter(task)

    def handle(number: int, note: str) -> None:
        meter.count()

    while True:
        token, now = str(uuid4()), time.time()
        connection.execute("BEGIN IMMEDIATE")
        claimed = connection.execute(CLAIM, (token, now + LEASE_SECONDS, now, AT_A_TIME)).fetchall()
        connection.execute("COMMIT")
        for _, number, note in claimed:
            handle(number, note)
        if claimed:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(DELETE, [(job, token) for job, _, _ in claimed])
            connection.execute("COMMIT")
        else:
            time.sleep(0.01)


if __name__ == "__main__":
    {"fill": fill, "work": work}[sys.argv[1]](Task.given())
