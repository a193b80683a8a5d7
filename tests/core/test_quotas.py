"""How people write a quota: what is read, what is refused, and that nothing is lost on the way back."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from groundplan.core.quotas import Quota, quota_of

SPANS = [(1, ("s", "sec", "second")), (60, ("min", "minute")), (3600, ("h", "hour")), (86_400, ("day", "d"))]
LONGEST = 31 * 86_400


@given(
    st.integers(1, 10**10 - 1),
    st.integers(1, 31),
    st.sampled_from([(seconds, word) for seconds, words in SPANS for word in words]),
    st.sampled_from(["", " ", "  "]),
)
def test_what_is_written_is_read(limit: int, count: int, span: tuple[int, str], space: str) -> None:
    seconds, word = span
    read = quota_of(f"{space}{limit}{space}/{space}{count}{word}{space}")
    assert read == Quota(limit, count * seconds)
    if count == 1:
        assert quota_of(f"{limit}/{word}") == read


@given(st.integers(1, 10**10 - 1), st.integers(1, 31 * 24).map(lambda hours: hours * 3600) | st.integers(1, 86_400))
@example(1, LONGEST)
@example(1, 90)
def test_a_quota_says_itself_as_it_is_read(limit: int, window: int) -> None:
    assert quota_of(str(Quota(limit, window))) == (limit, window)


@given(st.text(max_size=20) | st.from_regex(r"\s*[-+]?[0-9.e_]{0,4}\s*/\s*[0-9.]{0,3}[a-z]{0,4}", fullmatch=True))
@example("0/min")
@example("20/0min")
@example("١/min")
@example("20/min\n20/min")
def test_anything_else_is_refused_in_words(text: str) -> None:
    try:
        quota = quota_of(text)
    except ValueError as error:
        assert str(error).startswith("must ")
    else:
        assert quota.limit > 0 and 1 <= quota.window <= LONGEST
        assert quota_of(str(quota)) == quota


@pytest.mark.parametrize("text", ["", "20", "20/", "/min", "20 per min", "-1/min", "1.5/min", "20/week", "20/32day"])
def test_what_makes_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        quota_of(text)


def test_a_window_is_said_in_its_largest_unit() -> None:
    said = [str(Quota(5, seconds)) for seconds in (1, 30, 60, 90, 900, 3600, 86_400)]
    assert said == ["5/s", "5/30s", "5/min", "5/90s", "5/15min", "5/h", "5/day"]
