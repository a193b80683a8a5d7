"""The app: an ordered list of features and what its roles may do."""

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from groundplan.app.feature import Fault, Feature
from groundplan.app.route import Route, build
from groundplan.core.errors import ConfigurationError
from groundplan.messaging.handlers import Handlers
from groundplan.security.principal import EVERYTHING, Roles


class DemoAccounts(NamedTuple):
    """Of the seed, for whoever tries the app: one password, and (email, role) of each."""

    password: str
    accounts: list[tuple[str, str]]


class App:
    """What a team writes. The platform adds its own features (accounts, console) when it assembles the whole."""

    def __init__(
        self,
        name: str,
        *,
        features: Sequence[Feature | str],
        roles: Mapping[str, Iterable[str]],
        package: str | None = None,
        seed: str | None = None,
        demo: str | None = None,
    ) -> None:
        """``features`` are known by their packages: ``"shop.orders"`` means the ``feature`` in there.

        ``package`` holds ``migrations/`` and ``templates/``.
        ``seed`` names the function behind ``groundplan seed``; ``demo`` one that returns the demonstration
        accounts: (password, [(email, role), ...]).
        """
        self.name = name
        self.features = tuple(features)
        self.roles = Roles(roles)
        self.package = package or name
        self.seed = seed
        self.demo = demo


class Assembly:
    """An app and the platform's features, loaded and checked: every route, handler and fault of the release.

    Raises:
        ConfigurationError: naming every route that cannot start, all at once.
    """

    def __init__(self, app: App, platform: Sequence[Feature]) -> None:
        self.app = app
        self.features = (*platform, *map(_feature, app.features))
        problems: list[str] = []
        routes: list[Route] = []
        for feature in self.features:
            feature.load()
            for declared in feature.declarations:
                try:
                    routes.append(build(feature.name, declared))
                except ConfigurationError as error:
                    problems.append(error.detail)
        problems += _clashes(routes)
        if problems:
            raise ConfigurationError("\n".join(problems))
        self.routes = tuple(routes)
        self.by_function: dict[Callable[..., Any], Route] = {route.function: route for route in routes}
        self.handlers = Handlers(handler for feature in self.features for handler in feature.handlers)
        self.faults: tuple[Fault, ...] = tuple(fault for feature in self.features for fault in feature.faults)

    def permissions(self) -> frozenset[str]:
        """Every permission that some route asks for."""
        return frozenset(route.permission for route in self.routes if route.permission) - {EVERYTHING}


def _feature(named: Feature | str) -> Feature:
    if isinstance(named, Feature):
        return named
    found = getattr(importlib.import_module(named), "feature", None)
    if not isinstance(found, Feature):
        raise ConfigurationError(f"The package {named} is listed as a feature, and has no `feature = Feature(...)`.")
    return found


def _clashes(routes: Iterable[Route]) -> list[str]:
    seen: dict[tuple[str, str], Route] = {}
    problems = []
    for route in routes:
        first = seen.setdefault((route.method, route.path), route)
        if first is not route:
            problems.append(f"{route.name} is declared twice: by {first.feature} and by {route.feature}.")
    return problems
