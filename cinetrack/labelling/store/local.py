"""A local folder as a store. A file appears complete or not at all, through a hard link from a temporary name."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from cinetrack.errors import InputError
from cinetrack.labelling.store.files import AlreadyThere, check_name

# Temporary files, on the folder's own file system so that they can be linked; not part of the store.
SCRATCH = ".incoming"


class LocalFiles:
    """Implements `WriteOnceFiles` in `root`, which is made unless it is opened to read alone.

    Raises:
        InputError: it cannot be written, or is not there to be read.
    """

    def __init__(self, root: Path, to_read: bool = False) -> None:
        self.root = root
        self.location = str(root)
        if to_read:
            self._expect_readable()
            return
        try:
            (root / SCRATCH).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{root}: expected a folder to keep labels in, found {error.strerror or error}") from None
        if not os.access(root, os.W_OK):
            raise InputError(f"{root}: expected a folder to keep labels in, found one that cannot be written")
        self._expect_hard_links()

    def names(self, folder: str) -> list[str]:
        start = self.root / check_name(folder)
        return sorted(path.relative_to(self.root).as_posix() for path in start.rglob("*") if path.is_file())

    def read(self, name: str) -> bytes:
        return (self.root / check_name(name)).read_bytes()

    def create(self, last: str, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            if name != last:
                self._create_one(name, content)
        self._create_one(last, files[last])

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            (self.root / check_name(name)).unlink(missing_ok=True)

    def _expect_readable(self) -> None:
        if not os.path.isdir(self.root):
            raise InputError(f"{self.root}: expected a folder of labels, found none")
        if not os.access(self.root, os.R_OK | os.X_OK):
            raise InputError(f"{self.root}: expected a folder of labels, found one that may not be read")

    def _expect_hard_links(self) -> None:
        # Some network shares and USB sticks have none; that should be said before someone has drawn anything.
        temporary = self.root / SCRATCH / secrets.token_hex(8)
        link = temporary.with_suffix(".link")
        try:
            temporary.touch()
            os.link(temporary, link)
        except OSError as error:
            raise InputError(
                f"{self.root}: expected a folder on a file system with hard links, found {error.strerror or error}"
            ) from None
        finally:
            temporary.unlink(missing_ok=True)
            link.unlink(missing_ok=True)

    def _create_one(self, name: str, content: bytes) -> None:
        target = self.root / check_name(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.root / SCRATCH / secrets.token_hex(8)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, target)  # unlike a rename, refuses a taken name
        except FileExistsError:
            raise AlreadyThere(name) from None
        finally:
            temporary.unlink(missing_ok=True)
