"""The commands of ``groundplan queue`` and their arguments."""

from uuid import UUID

from cyclopts import App

from groundplan.cli.output import Json


def build() -> App:
    queue = App(name="queue", help="What waits and runs; pause, resume, cancel, retire.")

    @queue.default
    @queue.command
    def stats(*, json: Json = False) -> int:
        """How many deliveries are ready, leased, scheduled and retrying, by handler."""
        from groundplan.cli.queue import stats

        return stats(as_json=json)

    @queue.command
    def pause(name: str) -> int:
        """Hand out nothing more of a queue. What runs already goes on to its end."""
        from groundplan.cli.queue import switch

        return switch(name, paused=True)

    @queue.command
    def resume(name: str) -> int:
        """Let a paused queue go on."""
        from groundplan.cli.queue import switch

        return switch(name, paused=False)

    @queue.command
    def cancel(message_id: UUID) -> int:
        """Take one message out of the queue. A handler that runs already is stopped."""
        from groundplan.cli.queue import cancel

        return cancel(message_id)

    @queue.command
    def retire(handler: str) -> int:
        """End a handler that no release has any more: its subscriptions go, what waits for it becomes dead letters."""
        from groundplan.cli.queue import retire

        return retire(handler)

    return queue
