"""Names keep their parts apart, whatever stands in them."""

from hypothesis import example, given
from hypothesis import strategies as st

from groundplan.core.names import MOST_CHARACTERS, joined

ODD = st.text(alphabet=st.sampled_from(":%#/ \0\n%3AaA2é\ud800"), max_size=6)
PARTS = st.lists(st.one_of(ODD, st.text(max_size=300)), min_size=1, max_size=4)


@given(PARTS, PARTS)
@example(["a:b"], ["a", "b"])
@example(["a%3Ab"], ["a:b"])
@example(["a", ""], ["a"])
@example(["x" * 300], ["x" * 301])
def test_different_parts_make_different_names(one: list[str], other: list[str]) -> None:
    assert (joined(*one) == joined(*other)) == (one == other)


@given(PARTS)
def test_names_are_plain_and_bounded(parts: list[str]) -> None:
    name = joined(*parts)
    assert name.isascii() and name.isprintable() and " " not in name
    assert len(name) <= MOST_CHARACTERS


def test_a_name_can_be_read() -> None:
    assert joined("shop", "1", "products/page 2") == "shop:1:products/page%202"
