"""Names of several parts for engines that know only flat keys."""

import re
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import quote

MOST_CHARACTERS = 200
"""A longer name ends in its digest."""
_READABLE = 80
_PLAIN = re.compile(r"[A-Za-z0-9_.~/@:-]*").fullmatch
"""What quoting would leave as it is, but for the separator."""


@lru_cache(maxsize=1_000)
def joined(*parts: str) -> str:
    """Different parts make different names, whatever stands in them: ``:`` only ever separates.

    The name is ASCII, without spaces or control characters, and of bounded length.
    """
    name = ":".join(parts)
    if not _PLAIN(name) or name.count(":") != len(parts) - 1:
        name = ":".join(quote(part, safe="/@", errors="surrogatepass") for part in parts)
    if len(name) <= MOST_CHARACTERS:
        return name
    return f"{name[:_READABLE]}#{blake2b(name.encode(), digest_size=20).hexdigest()}"
