"""The fault switches of the tour: each spoils one kind of message while it is on. Refused in production."""

from collections.abc import Sequence
from typing import Any

import msgspec

from groundplan.app.feature import Fault
from groundplan.core.errors import Conflict, NotFound
from groundplan.data.database.uow import Transaction
from groundplan.flags.flags import Flags
from groundplan.flags.overrides import Overrides
from groundplan.messaging.message import message_name


class FaultView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    title: str
    event: str
    on: bool


class Faults:
    def __init__(self, declared: Sequence[Fault], flags: Flags, overrides: Overrides, *, allowed: bool) -> None:
        self._declared = {fault.name: fault for fault in declared}
        self._flags = flags
        self._overrides = overrides
        self._allowed = allowed

    def list(self) -> list[FaultView]:
        return [
            FaultView(name=f.name, title=f.title, event=message_name(f.event), on=self._is_on(f.name))
            for f in self._declared.values()
        ]

    async def set(self, transaction: Transaction, name: str, on: bool, *, by: str) -> None:
        """Raises NotFound for an unknown fault, Conflict in production."""
        if not self._allowed:
            raise Conflict("Faults cannot be switched in production.")
        if name not in self._declared:
            raise NotFound(f"There is no fault {name!r}.")
        await self._overrides.set(transaction, _flag(name), on, by)

    def apply(self, event: Any) -> Any:
        """The event, spoiled by every fault of its kind that is on."""
        if self._allowed:
            for fault in self._declared.values():
                if isinstance(event, fault.event) and self._is_on(fault.name):
                    event = fault.spoil(event)
        return event

    def _is_on(self, name: str) -> bool:
        return self._allowed and self._flags.enabled(_flag(name), False)


def _flag(name: str) -> str:
    return f"fault:{name}"
