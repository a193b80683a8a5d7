"""``groundplan``, killed at its first idempotent write: ``before`` or ``after`` the commit, as DIE says."""

import os
import signal
import sys
from typing import Any

from groundplan.app.calls import Calls
from groundplan.app.idempotency import Idempotency
from groundplan.cli import main
from groundplan.data.database.uow import Transaction


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def lay() -> None:
    if os.environ["DIE"] == "before":
        record = Idempotency.record

        async def now(_: Transaction) -> None:
            die()

        def record_and_die(self: Idempotency, transaction: Transaction, *args: Any) -> None:
            record(self, transaction, *args)
            transaction.before_commit(now)

        Idempotency.record = record_and_die  # type: ignore[method-assign, assignment]
        return
    write = Calls._write_once

    async def write_and_die(self: Calls, *args: Any) -> Any:
        await write(self, *args)
        die()

    Calls._write_once = write_and_die  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    lay()
    main(sys.argv[1:])
