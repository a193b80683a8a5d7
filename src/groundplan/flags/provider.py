"""An OpenFeature provider: stored overrides first, then flags in flagd's format, evaluated in this process."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

T = TypeVar("T")
Structure = Sequence[FlagValueType] | Mapping[str, FlagValueType]
Resolve = Callable[[str, T, EvaluationContext | None], FlagResolutionDetails[T]]


class FlagsProvider(AbstractProvider):
    """Can be given to ``openfeature.api.set_provider``, for code that evaluates flags through OpenFeature itself."""

    def __init__(self, definitions: str, override: Callable[[str], Any]) -> None:
        """``definitions`` is flagd's JSON; ``override`` the stored value of a flag, or None."""
        super().__init__()
        self._core = FlagdCore()
        self._core.set_flags(definitions)
        self._override = override

    def get_metadata(self) -> Metadata:
        return Metadata(name="groundplan")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        return self._resolve(flag_key, default_value, evaluation_context, (bool,), self._core.resolve_boolean_value)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        return self._resolve(flag_key, default_value, evaluation_context, (str,), self._core.resolve_string_value)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        return self._resolve(flag_key, default_value, evaluation_context, (int,), self._core.resolve_integer_value)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        return self._resolve(flag_key, default_value, evaluation_context, (int, float), self._core.resolve_float_value)

    def resolve_object_details(
        self, flag_key: str, default_value: Structure, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[Structure]:
        return self._resolve(flag_key, default_value, evaluation_context, (), self._core.resolve_object_value)

    def _resolve(
        self, key: str, default: T, context: EvaluationContext | None, kinds: tuple[type, ...], resolve: Resolve[T]
    ) -> FlagResolutionDetails[T]:
        """An override of another type than the one asked for does not count."""
        override = self._override(key)
        if type(override) in kinds:
            return FlagResolutionDetails(value=override, variant="override", reason=Reason.STATIC)
        return resolve(key, default, context)
