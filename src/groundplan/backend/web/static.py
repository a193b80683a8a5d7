"""Static files, read once and named by their content, so that a browser may keep them for ever."""

import asyncio
import gzip
import hashlib
import mimetypes
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

SMALL = 1000
"""Bytes; what is smaller is sent as it is."""
_TEXT = ("text/", "image/svg")
_TEXTS = ("application/json", "text/javascript", "application/javascript")


@dataclass(frozen=True, slots=True)
class StaticFile:
    content: bytes
    media_type: str
    packed: dict[str, bytes] = field(default_factory=dict, compare=False)
    """By content coding; each is made when it is first asked for."""

    @property
    def packs(self) -> bool:
        return len(self.content) >= SMALL and self.media_type.startswith((*_TEXT, *_TEXTS))

    async def accepted(self, accepts: str) -> tuple[bytes, str]:
        """The smallest form that the caller takes, and its content coding; empty for the file as it is."""
        coding = best_coding(accepts) if self.packs else ""
        if not coding:
            return self.content, ""
        if coding not in self.packed:  # it takes tens of milliseconds, once
            self.packed[coding] = await asyncio.to_thread(_PACK[coding], self.content)
        return self.packed[coding], coding


class StaticFiles:
    def __init__(self, *folders: Path) -> None:
        """Later folders win where two hold a file of one name."""
        self._urls: dict[str, str] = {}
        self._files: dict[str, StaticFile] = {}
        for folder in folders:
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if path.is_file():
                    self._add(path)

    def url(self, name: str) -> str:
        """``style.css`` -> ``/static/style.1a2b3c4d.css``. Raises KeyError for an unknown file: a template is wrong."""
        return self._urls[name]

    def get(self, fingerprinted: str) -> StaticFile | None:
        return self._files.get(fingerprinted)

    def _add(self, path: Path) -> None:
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:10]
        name = f"{path.stem}.{digest}{path.suffix}"
        media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        charset = "; charset=utf-8" if media_type.startswith("text/") or media_type.endswith("javascript") else ""
        self._urls[path.name] = f"/static/{name}"
        self._files[name] = StaticFile(content, media_type + charset)


def best_coding(accepts: str) -> str:
    """Of the codings that we have, the one that packs best among those in ``Accept-Encoding`` (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for part in accepts.lower().split(","):
        name, _, rest = part.strip().partition(";")
        weights[name.strip()] = _weight(rest)
    return next((coding for coding in _PACK if weights.get(coding, weights.get("*", 0.0)) > 0), "")


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


def _brotli(content: bytes) -> bytes:
    import brotli

    return bytes(brotli.compress(content, quality=11))


def _zstd(content: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=19).compress(content)


def _gzip(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)


_PACK: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType({"br": _brotli, "zstd": _zstd, "gzip": _gzip})
