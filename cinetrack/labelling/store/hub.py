"""A Hugging Face dataset repository as a store: one commit a label, refused where the repository has moved on.

The Hub takes a commit with `parent_commit` only while that is the newest one, so "is the name free?" and "write it"
are one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import httpx
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.hf_api import RepoFile

from cinetrack.errors import InputError
from cinetrack.labelling.store.files import AlreadyThere, check_name

ATTEMPTS = 8  # a commit is tried again while others' commits come first


class HubFiles:
    """Implements `WriteOnceFiles` in the dataset repository `repo_id`, made private where there is none.

    The token is huggingface_hub's own (HF_TOKEN or `hf auth login`), the server HF_ENDPOINT's.

    Raises:
        InputError: no access to the repository.
    """

    def __init__(self, repo_id: str) -> None:
        self._api = HfApi()
        self._repo_id = repo_id
        self.location = f"hf://datasets/{repo_id}"
        try:
            self._api.create_repo(repo_id, repo_type="dataset", private=True, exist_ok=True)
            self._head()
        except (HfHubHTTPError, httpx.HTTPError, ValueError) as error:
            raise InputError(f"{self.location}: expected a dataset repository that can be written, found {error}") from None

    def names(self, folder: str) -> list[str]:
        return self._names(check_name(folder), self._head())

    def read(self, name: str) -> bytes:
        try:
            path = self._api.hf_hub_download(
                self._repo_id, check_name(name), repo_type="dataset", revision=self._head()
            )
        except EntryNotFoundError:
            raise FileNotFoundError(name) from None
        with open(path, "rb") as file:
            return file.read()

    def create(self, last: str, files: Mapping[str, bytes]) -> None:
        operations = [CommitOperationAdd(check_name(name), content) for name, content in files.items()]
        folder = last.rpartition("/")[0]
        self._commit(f"Add {last}", operations, unless=lambda head: last in self._names(folder, head), name=last)

    def delete(self, names: Iterable[str]) -> None:
        doomed = set(names)
        if not doomed:
            return
        head = self._head()
        folders = {name.rpartition("/")[0] for name in doomed}
        present = sorted(doomed & {name for folder in folders for name in self._names(folder, head)})
        if present:
            operations = [CommitOperationDelete(name) for name in present]
            self._commit(f"Remove {len(present)} outdated files", operations, unless=lambda _: False, name=present[0])

    def _commit(self, message: str, operations: list, unless, name: str) -> None:
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
        return self._api.repo_info(self._repo_id, repo_type="dataset").sha

    def _names(self, folder: str, revision: str) -> list[str]:
        try:
            tree = self._api.list_repo_tree(
                self._repo_id, folder, recursive=True, repo_type="dataset", revision=revision
            )
            return sorted(entry.path for entry in tree if isinstance(entry, RepoFile))
        except RepositoryNotFoundError:
            raise
        except EntryNotFoundError:
            return []
