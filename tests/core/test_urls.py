"""Addresses from outside: what stays here, and nothing that breaks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundplan.core.urls import host_of, is_local

HOSTILE = [
    "//evil.example",
    "/\\evil.example",
    "https://evil.example",
    "",
    "x",
    "//[",
    "/\n/evil.example",
    "\\/evil",
    "/a\\b",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_what_leads_elsewhere_is_not_local(url: str) -> None:
    assert not is_local(url)


@pytest.mark.parametrize("url", ["/", "/orders?cursor=a%2Fb", "/a//b", "/#p-1"])
def test_a_path_is_local(url: str) -> None:
    assert is_local(url)


@pytest.mark.parametrize(
    ("url", "host"), [("http://N.example:80/a", "n.example:80"), ("http://[", ""), ("//%5B", "%5b"), ("", "")]
)
def test_the_host_of_an_address(url: str, host: str) -> None:
    assert host_of(url) == host


@given(st.text(max_size=60))
def test_nothing_breaks_it(text: str) -> None:
    host_of(text)
    is_local(text)
