"""Which back end a store's address means."""

from __future__ import annotations

from pathlib import Path

from cinetrack.labelling.store.files import WriteOnceFiles
from cinetrack.labelling.store.local import LocalFiles

HUB_PREFIX = "hf://datasets/"


def open_files(address: str, to_read: bool = False) -> WriteOnceFiles:
    """Open a store: a local folder, hf://datasets/OWNER/NAME, or any other fsspec URL (s3://, gs://, memory://).

    Args:
        to_read: to read alone. Nothing is written, so no permission to write is needed, and a store that is not there
            is an error; otherwise it is made.
    Raises:
        InputError: it cannot be opened or written, or its driver is not installed.
    """
    if address.startswith(HUB_PREFIX):
        from cinetrack.labelling.store.hub import HubFiles

        return HubFiles(address.removeprefix(HUB_PREFIX).strip("/"), to_read)
    if "://" in address and not address.startswith("file://"):
        from cinetrack.labelling.store.remote import RemoteFiles

        return RemoteFiles(address, to_read)
    return LocalFiles(Path(address.removeprefix("file://")), to_read)
