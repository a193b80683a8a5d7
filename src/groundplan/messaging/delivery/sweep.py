"""What has served its time is deleted: done-markers, claims of unique jobs, progress of jobs long over."""

from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql

KEEP_SECONDS = 7 * 24 * 3600.0
"""Longer than any broker holds a message back: a marker must outlive the last copy."""


async def sweep(database: Database) -> None:
    for statement in (_MARKERS, _CLAIMS, _PROGRESS):
        await database.execute(statement, keep=KEEP_SECONDS)


_MARKERS = Sql("DELETE FROM done_markers WHERE at < NOW - SECONDS(:keep)")
_CLAIMS = Sql("DELETE FROM unique_claims WHERE until < NOW - SECONDS(:keep)")
_PROGRESS = Sql("DELETE FROM progress WHERE at < NOW - SECONDS(:keep)")
