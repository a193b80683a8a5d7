"""The guide to search: its handler is the shop's own, word for word."""

from pathlib import Path

from tests.docs.pages import ROOT, blocks

INDEXING = Path("src/shop/catalog/indexing.py")


def test_the_handler_is_the_shops() -> None:
    (handler,) = blocks("docs/search.md", "python")
    assert handler.text in (ROOT / INDEXING).read_text(encoding="utf-8")
