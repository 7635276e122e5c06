"""Where labels are kept: write-once files in a local folder, behind any fsspec URL, or in a Hugging Face dataset."""

from cinetrack.labelling.store.files import AlreadyThere, WriteOnceFiles, safe_name
from cinetrack.labelling.store.opening import open_files

__all__ = ["AlreadyThere", "WriteOnceFiles", "open_files", "safe_name"]
