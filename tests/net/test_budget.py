"""The retry budget: a share of the calls, a little for each second, and never more saved up than its bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundplan.net.budget import BudgetPolicy, RetryBudget
from groundplan.testing.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def spent(budget: RetryBudget) -> int:
    """All that it holds."""
    count = 0
    while budget.spend():
        count += 1
    return count


def test_a_fresh_budget_is_full(clock: ManualClock) -> None:
    assert spent(RetryBudget(clock, BudgetPolicy(most=3))) == 3


def test_calls_earn_a_share(clock: ManualClock) -> None:
    budget = RetryBudget(clock, BudgetPolicy(share=0.25, most=3))
    spent(budget)
    for _ in range(8):
        budget.earn()
    assert spent(budget) == 2


def test_seconds_earn_a_little(clock: ManualClock) -> None:
    budget = RetryBudget(clock, BudgetPolicy(per_second=0.5, most=3))
    spent(budget)
    clock.seconds += 2.0
    assert spent(budget) == 1
    clock.seconds += 3600.0
    assert spent(budget) == 3


@given(st.lists(st.one_of(st.just("call"), st.just("retry"), st.floats(0.0, 5.0)), max_size=300))
def test_no_more_retries_than_promised(steps: list[str | float]) -> None:
    clock, policy = ManualClock(), BudgetPolicy()
    budget = RetryBudget(clock, policy)
    retries = calls = 0
    for step in steps:
        if step == "call":
            budget.earn()
            calls += 1
        elif step == "retry":
            retries += budget.spend()
        else:
            assert isinstance(step, float)
            clock.seconds += step
        assert retries <= policy.most + policy.per_second * clock.seconds + policy.share * calls + 1e-6
