"""Values as people may see them."""

import re

from groundplan.core.redaction import HIDDEN, is_secret, redact_url

_PARAMETER = re.compile(r"([?&;]([^=&;]+)=)([^&;]+)")


def hide(text: str) -> str:
    return HIDDEN


def hide_passwords(text: str) -> str:
    """The text with the password of a URL hidden, in its user part or a parameter, also where it is not a valid one."""
    if "://" not in text and re.match(r"[^/]*:[^/]*@", text):
        return HIDDEN
    return _PARAMETER.sub(lambda match: match[1] + (HIDDEN if is_secret(match[2]) else match[3]), redact_url(text))
