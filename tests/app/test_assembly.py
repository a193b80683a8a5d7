"""What keeps an app from starting is said at once, in words."""

import pytest

from groundplan.app import App, Context, Event, Feature, Job
from groundplan.app.application import Assembly
from groundplan.core.errors import ConfigurationError


class Happened(Event, frozen=True, kw_only=True):
    pass


class Chore(Job, frozen=True, kw_only=True):
    pass


async def nothing(ctx: Context) -> None:
    """Does nothing."""


def assembled(*features: Feature) -> Assembly:
    return Assembly(App("tiny", features=features, roles={}, package="groundplan.testing"), [])


def test_every_wrong_route_is_named_at_once() -> None:
    feature = Feature("tiny", owner="tests")

    async def two(ctx: Context) -> None: ...
    async def untyped(ctx: Context, number) -> None: ...  # type: ignore[no-untyped-def]
    async def unsaid(ctx: Context): ...  # type: ignore[no-untyped-def]
    async def without_context() -> None: ...
    def blocking(ctx: Context) -> None: ...

    feature.get("/open")(nothing)
    feature.get("/both", permission="a", public=True)(two)
    feature.get("/untyped", public=True)(untyped)
    feature.get("/unsaid", public=True)(unsaid)
    feature.get("/without", public=True)(without_context)
    feature.get("/blocking", public=True)(blocking)
    feature.get("/{missing}", public=True)(two)
    with pytest.raises(ConfigurationError) as raised:
        assembled(feature)
    problems = raised.value.detail.splitlines()
    assert len(problems) == 7
    for words in ("neither permission", "both permission", "needs a type", "return type", "ctx: Context", "async def"):
        assert any(words in problem for problem in problems), words


def test_one_address_has_one_route() -> None:
    one, other = Feature("one", owner="tests"), Feature("other", owner="tests")
    for feature in (one, other):
        feature.get("/same", public=True)(nothing)
    with pytest.raises(ConfigurationError, match="declared twice: by one and by other"):
        assembled(one, other)


def test_handlers_have_names_of_their_own() -> None:
    feature = Feature("tiny", owner="tests")
    feature.on(Happened, name="same")(nothing)
    feature.job(Chore, name="same")(nothing)
    with pytest.raises(ConfigurationError, match="Two handlers are named 'same'"):
        assembled(feature)


def test_a_job_has_one_handler() -> None:
    feature = Feature("tiny", owner="tests")
    feature.job(Chore, name="one")(nothing)
    feature.job(Chore, name="two")(nothing)
    with pytest.raises(ConfigurationError, match="exactly one"):
        assembled(feature)


def test_a_handler_ends_before_its_lease() -> None:
    feature = Feature("tiny", owner="tests")
    feature.on(Happened, name="slow", timeout=40)(nothing)
    with pytest.raises(ConfigurationError, match="slow"):
        assembled(feature).handlers.check_timeouts(45)
    assembled(feature).handlers.check_timeouts(50)


def test_decorators_return_the_function() -> None:
    feature = Feature("tiny", owner="tests")
    assert feature.get("/a", public=True)(nothing) is nothing
    assert feature.on(Happened, name="a")(nothing) is nothing
