"""What the gate leaves in the ASGI scope for whoever answers."""

from typing import Any

from groundplan.app.context import Context

_KEY = "groundplan"


def put_context(scope: Any, context: Context | None) -> None:
    scope[_KEY] = context


def context_of(scope: Any) -> Context:
    """The unit of work of this request. Behind the gate there is one, except for plumbing."""
    context: Context = scope[_KEY]
    return context


def context_if_any(scope: Any) -> Context | None:
    """None where the request was refused before anyone knew who asks."""
    context: Context | None = scope.get(_KEY)
    return context
