"""Formats of text that the platform and applications share."""

from typing import Annotated

import msgspec

Email = Annotated[
    str, msgspec.Meta(pattern=r"^[^@\s\x00]+@[^@\s\x00]+\.[^@\s\x00]+$", max_length=254, description="an email address")
]
"""What can be an address; whether it is one, only a mail tells."""
