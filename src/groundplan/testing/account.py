"""The account a test server runs under: root hands servers that refuse root to the system's nobody."""

import os
import pwd
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple, Self


class Account(NamedTuple):
    """Nothing set means the account of whoever starts the server."""

    user: int | None = None
    group: int | None = None
    extra_groups: list[int] | None = None

    @classmethod
    def unprivileged(cls) -> Self:
        """Our own account, or nobody's if ours is root's."""
        if os.geteuid() != 0:
            return cls()
        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid, [])

    def make_directory(self, prefix: str) -> Path:
        """A new temporary directory that belongs to the account alone."""
        parent = Path(tempfile.gettempdir())
        if not self.reaches(parent):
            parent = Path("/tmp")
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        self.give(directory)
        return directory

    def give(self, path: Path) -> None:
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)

    def reaches(self, path: Path) -> bool:
        """Whether the account may enter every directory above ``path`` and read it, owning none of them."""
        if self.user is None:
            return True
        read = stat.S_IROTH | stat.S_IXOTH
        above = all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)
        return above and path.stat().st_mode & read == read
