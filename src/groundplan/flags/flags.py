"""What business code asks: is this flag on, for this tenant and user?"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagResolutionDetails

from groundplan.flags.overrides import FlagValue, Overrides
from groundplan.flags.provider import FlagsProvider

T = TypeVar("T", bool, str)


class FlagView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: FlagValue | None
    """What it is for everyone; None where its rule decides, or it is disabled."""
    targeted: bool
    """Whether a rule decides by tenant and user, where nothing overrides it."""
    set_by: str = ""
    """Who overrides it; empty where FEATURE_FLAGS holds."""
    set_at: datetime | None = None


class Flags:
    def __init__(self, definitions: str, overrides: Overrides) -> None:
        """``definitions`` is flagd's JSON, as the settings hold it."""
        flags: dict[str, dict[str, Any]] = msgspec.json.decode(definitions)["flags"]
        self._overrides = overrides
        self._known = frozenset(flags)
        self._targeted = frozenset(name for name, flag in flags.items() if _enabled(flag) and flag.get("targeting"))
        self._fixed = {
            name: flag["variants"][flag["defaultVariant"]]
            for name, flag in flags.items()
            if _enabled(flag) and name not in self._targeted and flag.get("defaultVariant")
        }
        self.provider = FlagsProvider(definitions, overrides.get)

    def enabled(self, name: str, default: bool = False, *, tenant: str = "", user: str = "") -> bool:
        """Whether the flag is on; ``default`` where nobody defined it, or it cannot be evaluated."""
        return self._value(name, default, bool, self.provider.resolve_boolean_details, tenant, user)

    def variant(self, name: str, default: str = "", *, tenant: str = "", user: str = "") -> str:
        """The text that a flag with several variants has for this tenant and user."""
        return self._value(name, default, str, self.provider.resolve_string_details, tenant, user)

    def all(self) -> list[FlagView]:
        """Every flag that is defined or overridden, by name."""
        overrides = {override.name: override for override in self._overrides.all()}
        views = []
        for name in sorted(self._known | overrides.keys()):
            override, targeted = overrides.get(name), name in self._targeted
            if override is None:
                views.append(FlagView(name=name, value=self._fixed.get(name), targeted=targeted))
            else:
                views.append(
                    FlagView(
                        name=name,
                        value=override.value,
                        targeted=targeted,
                        set_by=override.set_by,
                        set_at=override.set_at,
                    )
                )
        return views

    def _value(
        self,
        name: str,
        default: T,
        kind: type[T],
        resolve: Callable[[str, T, EvaluationContext | None], FlagResolutionDetails[T]],
        tenant: str,
        user: str,
    ) -> T:
        override = self._overrides.get(name)
        if isinstance(override, kind):
            return override
        if name not in self._targeted:
            fixed = self._fixed.get(name)
            return fixed if isinstance(fixed, kind) else default
        context = EvaluationContext(targeting_key=user or tenant, attributes={"tenant": tenant, "user": user})
        try:
            return resolve(name, default, context).value
        except Exception:  # a rule that fails must not fail the request
            return default


def _enabled(flag: dict[str, Any]) -> bool:
    return bool(flag["state"] == "ENABLED")
