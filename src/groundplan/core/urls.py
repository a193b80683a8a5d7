"""Addresses that come from outside, read without trusting them."""

from urllib.parse import urlsplit


def is_local(url: str) -> bool:
    """Whether it stays on this host, also where a browser mends it: no open redirect."""
    return url.startswith("/") and not url.startswith("//") and "\\" not in url and url.isprintable()


def host_of(url: str) -> str:
    """Host and port in lower case; empty where there is none, or where it cannot be read."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""
