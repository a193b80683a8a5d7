"""The end of a handler: its subscriptions go, so that no more messages are made for it, and what waits is kept."""

from groundplan.core.errors import Conflict, NotFound
from groundplan.data.database.sql import Sql
from groundplan.data.database.uow import Transaction
from groundplan.messaging.delivery.deliveries import DEAD_COLUMNS, MESSAGE_COLUMNS
from groundplan.messaging.handlers import Handlers


async def retire(transaction: Transaction, handlers: Handlers, name: str) -> int:
    """Returns how many messages waited for it; they are among the dead letters then, to be dropped by a person.

    Raises:
        Conflict: this release has the handler, so its next start would subscribe it again; or workers of an older
            one run it at this moment.
        NotFound: nothing waits for a handler of that name, and it subscribes to nothing.
    """
    if name in handlers.known_versions():
        raise Conflict(f"This release has the handler {name}. Retire it with a release that does not, once that runs.")
    if await transaction.execute(_AT_WORK, handler=name):
        raise Conflict(f"Workers of an older release run {name} at this moment. Stop them, or wait for their end.")
    gone = await transaction.execute(_UNSUBSCRIBE, handler=name)
    buried = await transaction.execute(_BURY, handler=name)
    if not (gone or buried):
        raise NotFound(f"No handler {name!r} subscribes to anything, and nothing waits for one.")
    await transaction.execute(_DELETE, handler=name)
    return len(buried)


_AT_WORK = Sql("SELECT 1 AS one FROM deliveries WHERE handler = :handler AND state <> 'ready' LIMIT 1")
_UNSUBSCRIBE = Sql("DELETE FROM subscriptions WHERE handler = :handler RETURNING event_name")
_BURY = Sql(f"""
    INSERT INTO dead_letters ({DEAD_COLUMNS})
    SELECT {MESSAGE_COLUMNS}, unique_key, payload, 'retired', 'HandlerRetired', 'Its handler is gone.', '', NOW
    FROM deliveries WHERE handler = :handler AND state = 'ready' RETURNING id
""")
_DELETE = Sql("DELETE FROM deliveries WHERE handler = :handler AND state = 'ready'")
