"""Small tables of a run: read whole, written whole."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from cinetrack.sequence.atomic_write import write_text_atomically


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a table; none where there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_table(path: Path, columns: tuple[str, ...], rows: list[list[Any]]) -> None:
    """Write a table whole, by way of a temporary name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *rows])
    write_text_atomically(path, text.getvalue())
