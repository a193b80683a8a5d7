"""Static files, read once and named by their content, so that a browser may keep them for ever."""

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StaticFile:
    content: bytes
    media_type: str


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
