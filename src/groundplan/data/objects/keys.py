"""What a key, a content type and a file name may look like; each is safe as a path, a header and a part of a URL."""

import re

from groundplan.core.errors import Invalid, TenantMissing

_UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TENANT = re.compile(f"t/{_UUID}/.")
_SEGMENT = re.compile(r"[A-Za-z0-9_=+@,~-][A-Za-z0-9._=+@,~-]{0,199}")
_CONTENT_TYPE = re.compile(r'[\w.+-]+/[\w.+-]+(?:; ?[\w-]+=[\w.+"-]+)*', re.ASCII)
_KEY_CHARACTERS = 1024
_SEGMENT_WORDS = "1 to 200 letters, digits and . _ - = + @ , ~ (not starting with a dot)"


def check_key(key: str) -> None:
    """Raises Invalid for what is no key, TenantMissing for a key that belongs to no tenant."""
    if len(key) > _KEY_CHARACTERS or not all(_SEGMENT.fullmatch(segment) for segment in key.split("/")):
        raise Invalid(
            f"An object key is parts of {_SEGMENT_WORDS}, separated by slashes, "
            f"and {_KEY_CHARACTERS} characters at most; this is not one: {key[:100]!r}."
        )
    if not _TENANT.match(key):
        raise TenantMissing(
            f"The object key {key!r} names no tenant: bind the objects to one, or start with t/<tenant>/."
        )


def check_prefix(prefix: str) -> None:
    """As ``check_key``, for the start of one."""
    check_key(prefix + "x" if prefix.endswith("/") else prefix)


def check_content_type(content_type: str) -> None:
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise Invalid(f"This is not a content type: {content_type[:100]!r}.")


def check_filename(filename: str) -> None:
    if not filename.isprintable() or len(filename) > 200 or not filename.strip() or set('/\\"') & set(filename):
        raise Invalid(
            f"A file name is 1 to 200 characters without slashes or quotes; this is not one: {filename[:100]!r}."
        )
