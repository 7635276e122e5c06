"""A frame as the sources of evidence see it: as it is or stabilised, whole or cut to a target's surroundings.

Pixels are worked out when they are first asked for, and only those of the part that is asked for. What a source derives
from them, as SAM2's features, is kept with the view, so that targets that look at the same pixels share it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from cinetrack.tracking.region import Region

Derived = TypeVar("Derived")
Box = tuple[slice, slice]


class View:
    """One frame, or a part of one.

    Attributes:
        index: the frame's number in the sequence.
        shape: (H, W) px.
    """

    def __init__(self, index: int, shape: tuple[int, int], read: Callable[[Box], np.ndarray]) -> None:
        """`read` gives the pixels of the rows and columns of a box, as an array of their own."""
        self.index, self.shape = index, shape
        self._read = read
        self._pixels: np.ndarray | None = None
        self._parts: dict[tuple[int, int, int, int], View] = {}
        self._derived: dict[Any, Any] = {}

    @classmethod
    def of(cls, frame: np.ndarray, index: int) -> View:
        """The frame as it is, (H, W)."""
        return cls(index, frame.shape, lambda box: frame[box].copy())

    @property
    def pixels(self) -> np.ndarray:
        """(H, W), of any real type."""
        if self._pixels is None:
            self._pixels = self._read((slice(0, self.shape[0]), slice(0, self.shape[1])))
        return self._pixels

    def part(self, region: Region) -> View:
        """The view cut to a region; one and the same for the same region."""
        rows, columns = region.rows, region.columns
        key = (rows.start, rows.stop, columns.start, columns.stop)
        if key not in self._parts:
            whole = (
                self._read
            )  # and not self: a part that held its whole would keep both until the garbage collector comes

            def read(box: Box) -> np.ndarray:
                return whole((_within(rows, box[0]), _within(columns, box[1])))

            self._parts[key] = View(self.index, region.shape, read)
        return self._parts[key]

    def derived(self, key: Any, compute: Callable[[np.ndarray], Derived]) -> Derived:
        """What `compute` makes of the pixels, worked out once for each key."""
        if key not in self._derived:
            self._derived[key] = compute(self.pixels)
        return self._derived[key]


def _within(outer: slice, inner: slice) -> slice:
    return slice(outer.start + inner.start, outer.start + inner.stop)
