"""How consumers divide what they ask for among queues."""

from collections.abc import Sequence


def shares(queues: Sequence[str], limit: int) -> dict[str, int]:
    """So many of each: the first ones get what does not divide, and a queue that would get nothing is left out."""
    each, more = divmod(limit, len(queues))
    divided = {queue: each + (number < more) for number, queue in enumerate(queues)}
    return {queue: share for queue, share in divided.items() if share}


def rotated(queues: Sequence[str], turn: int) -> list[str]:
    """Another queue is the first each turn."""
    start = turn % len(queues)
    return [*queues[start:], *queues[:start]]
