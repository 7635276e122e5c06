"""Any fsspec URL as a store: s3://, gs://, memory://, ...

Exclusive creation is fsspec's `pipe_file(mode="create")`: a conditional put (If-None-Match) on S3 and GCS. A back end
whose driver cannot do that would let two people overwrite each other, so it is refused when the store is opened.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cinetrack.errors import InputError
from cinetrack.labelling.store.files import AlreadyThere, check_name

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


class RemoteFiles:
    """Implements `WriteOnceFiles` below an fsspec URL.

    Args:
        to_read: to read alone: nothing is tried out, and what is not there is an error.
        options: the driver's own (endpoint_url, key, ...); its environment variables count as usual.
    Raises:
        InputError: no such driver here, no access, or no exclusive creation; nothing there to read.
    """

    def __init__(self, url: str, to_read: bool = False, **options: Any) -> None:
        import fsspec

        try:
            found, root = fsspec.core.url_to_fs(url, **options)
        except (ImportError, ValueError) as error:
            raise InputError(f"{url}: expected a URL that fsspec can open here, found {error}") from None
        self._fs: AbstractFileSystem = found
        self._root = root.rstrip("/")
        self.location = url
        if to_read:
            self._expect_something()
        else:
            self._expect_exclusive_creation()

    def names(self, folder: str) -> list[str]:
        self._fs.invalidate_cache()  # others write here too
        start = f"{self._root}/{check_name(folder)}"
        try:
            found = self._fs.find(start)
        except FileNotFoundError:
            return []
        prefix = f"{self._fs._strip_protocol(self._root)}/"
        names = (name.removeprefix(prefix) for name in found)
        # s3fs: a folder that comes into being during the call is returned as a file.
        return sorted(name for name in names if name.startswith(folder + "/"))

    def read(self, name: str) -> bytes:
        return self._fs.cat_file(f"{self._root}/{check_name(name)}")

    def create(self, last: str, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            if name != last:
                self._create_one(name, content)
        self._create_one(last, files[last])

    def delete(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                self._fs.rm_file(f"{self._root}/{check_name(name)}")
            except FileNotFoundError:
                continue

    def _create_one(self, name: str, content: bytes) -> None:
        try:
            self._fs.pipe_file(f"{self._root}/{check_name(name)}", content, mode="create")
        except FileExistsError:
            raise AlreadyThere(name) from None
        except OSError as error:
            if _is_refused_condition(error):
                raise AlreadyThere(name) from None
            raise

    def _expect_something(self) -> None:
        try:
            found = self._fs.exists(self._root)
        except Exception as error:  # drivers let their client's own errors through (credentials, endpoints)
            raise InputError(
                f"{self.location}: expected a place with labels, found {type(error).__name__}: {error}"
            ) from None
        if not found:
            raise InputError(f"{self.location}: expected a place with labels, found none")

    def _expect_exclusive_creation(self) -> None:
        probe = f"probe/{secrets.token_hex(8)}"
        try:
            self._create_one(probe, b"1")
            try:
                self._create_one(probe, b"2")
            except AlreadyThere:
                return
            finally:
                self.delete([probe])
        except (OSError, NotImplementedError, TypeError) as error:
            raise InputError(f"{self.location}: expected a place to keep labels in, found {error}") from None
        except Exception as error:  # drivers let their client's own errors through (credentials, endpoints)
            raise InputError(
                f"{self.location}: expected a place to keep labels in, found {type(error).__name__}: {error}"
            ) from None
        raise InputError(f"{self.location}: expected storage that refuses to overwrite, found that it does not")


def _is_refused_condition(error: OSError) -> bool:
    # s3fs: PreconditionFailed and ConditionalRequestConflict arrive as plain OSErrors.
    text = f"{error} {error.__cause__ or ''}"
    return "PreconditionFailed" in text or "ConditionalRequestConflict" in text or "pre-condition" in text.lower()
