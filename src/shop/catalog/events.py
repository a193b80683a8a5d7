"""What others may learn about products, and the job that reads all of them."""

from uuid import UUID

from groundplan.app import Event, Job

FIRST = UUID(int=0)


class ProductChanged(Event, frozen=True, kw_only=True):
    """Its words or its price. Whoever needs to know reads it; stock changes with every sale and is not told."""

    product_id: UUID


class RebuildIndex(Job, frozen=True, kw_only=True):
    """The products after this id; with the first id, all of them."""

    after: UUID = FIRST
