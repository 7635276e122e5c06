"""A Hugging Face dataset repository as a store: one commit a label, refused where the repository has moved on.

The Hub takes a commit with `parent_commit` only while that is the newest one, so "is the name free?" and "write it"
are one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from pathlib import Path

import httpx
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
from huggingface_hub.hf_api import RepoFile

from cinetrack.errors import InputError
from cinetrack.labelling.store.files import AlreadyThere, check_name

ATTEMPTS = 8  # a commit is tried again while others' commits come first
SMALL_BYTES = 16 << 10  # files up to this size are kept in memory once read: they never change


class HubFiles:
    """Implements `WriteOnceFiles` in the dataset repository `repo_id`, made private where there is none unless opened
    to read alone.

    The token is huggingface_hub's own (HF_TOKEN or `hf auth login`), the server HF_ENDPOINT's.

    Raises:
        InputError: no access to the repository.
    """

    def __init__(self, repo_id: str, to_read: bool = False) -> None:
        self._api = HfApi()
        self._repo_id = repo_id
        self._small: dict[str, bytes] = {}
        self._listed: tuple[str, list[str]] = ("", [])  # newest commit listed, and its files
        self.location = f"hf://datasets/{repo_id}"
        try:
            if not to_read:
                self._api.create_repo(repo_id, repo_type="dataset", private=True, exist_ok=True)
            self._head()
        except (HfHubHTTPError, httpx.HTTPError, ValueError) as error:
            wanted = "read" if to_read else "written"
            raise InputError(
                f"{self.location}: expected a dataset repository that can be {wanted}, found {error}"
            ) from None

    def names(self, folder: str) -> list[str]:
        return [name for name in self._files(self._head()) if name.startswith(check_name(folder) + "/")]

    def read(self, name: str) -> bytes:
        if name in self._small:
            return self._small[name]
        try:
            path = self._api.hf_hub_download(
                self._repo_id, check_name(name), repo_type="dataset", revision=self._head()
            )
        except EntryNotFoundError:
            raise FileNotFoundError(name) from None
        content = Path(path).read_bytes()
        if len(content) <= SMALL_BYTES:
            self._small[name] = content
        return content

    def create(self, last: str, files: Mapping[str, bytes]) -> None:
        operations = [CommitOperationAdd(check_name(name), content) for name, content in files.items()]
        self._commit(f"Add {last}", operations, unless=lambda head: last in self._files(head), name=last)

    def delete(self, names: Iterable[str]) -> None:
        doomed = set(names)
        for name in doomed:
            self._small.pop(name, None)
        present = sorted(doomed.intersection(self._files(self._head())))
        if present:
            operations = [CommitOperationDelete(name) for name in present]
            self._commit(f"Remove {len(present)} outdated files", operations, unless=lambda _: False, name=present[0])

    def _commit(self, message: str, operations: list[Any], unless: Callable[[str], bool], name: str) -> None:
        for _ in range(ATTEMPTS):
            head = self._head()
            if unless(head):
                raise AlreadyThere(name)
            try:
                self._api.create_commit(
                    self._repo_id, operations, commit_message=message, repo_type="dataset", parent_commit=head
                )
                return
            except HfHubHTTPError as error:
                # 412: another commit came first (409: the Hub is still taking one in).
                if error.response.status_code not in (409, 412):
                    raise
        raise OSError(f"{self.location}: {name}: others' commits came first {ATTEMPTS} times")

    def _head(self) -> str:
        return str(self._api.repo_info(self._repo_id, repo_type="dataset").sha)

    def _files(self, revision: str) -> list[str]:
        """All files of a commit, sorted; asked for once a commit."""
        listed, files = self._listed
        if listed != revision:
            tree = self._api.list_repo_tree(self._repo_id, recursive=True, repo_type="dataset", revision=revision)
            files = sorted(entry.path for entry in tree if isinstance(entry, RepoFile))
            self._listed = (revision, files)
        return files
