"""A folder that fills with one file a frame, in the order of the names.

No medical device: research and simulation.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from cinetrack.errors import InputError
from cinetrack.live.frame import LiveFrame, now_s
from cinetrack.live.result import LiveResult
from cinetrack.live.sources.source import SourceEvent, plane_in
from cinetrack.sequence.image_files import IMAGE_SUFFIXES, ImageGeometry, read_series, write_masks

POLL_S = 0.01
AWAY_S = 0.25
UNREADABLE_AFTER_S = 2.0  # a file that cannot be read may still be growing; after so long without change it is bad


class FolderSource:
    """Implements `FrameSource`. A frame's acquisition is when its file was last written.

    Files whose names begin with a dot are left alone: programs write to such a name and rename.

    Args:
        answers: folder that gets `<frame's name>.mha` with each mask.
    Raises:
        InputError: there is no such folder.
    """

    paced = True

    def __init__(self, folder: Path, answers: Path, usual_plane: str) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder}: expected a folder that fills with frames, found none")
        self._folder, self._answers, self._usual_plane = folder, answers, usual_plane
        self._seen: set[str] = set()
        self._number = 0

    async def items(self) -> AsyncGenerator[LiveFrame | SourceEvent, None]:
        """See `FrameSource`; never ends by itself."""
        reachable = True
        while True:
            try:
                names = await asyncio.to_thread(self._names)
            except OSError as error:  # a share that is away for a while
                if reachable:
                    yield SourceEvent("unreachable", f"{self._folder}: {error.strerror or error}; trying again")
                reachable = False
                await asyncio.sleep(AWAY_S)
                continue
            reachable = True
            self._seen &= names  # of files taken away since
            fresh = sorted(names - self._seen)
            for name in fresh:
                item = await self._read(self._folder / name)
                if item is None:
                    break  # still growing: the ones after it wait, so that the order holds
                self._seen.add(name)
                yield item
            await asyncio.sleep(POLL_S)

    async def send(self, result: LiveResult) -> None:
        """Write the mask beside the log, named as its frame."""
        if result.mask is not None and isinstance(result.frame.origin, Path):
            path = self._answers / f"{result.frame.origin.stem}.mha"
            geometry = ImageGeometry.in_plane(result.frame.spacing_mm or (1.0, 1.0))
            await asyncio.to_thread(write_masks, path, result.mask[None], geometry)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _names(self) -> set[str]:
        return {
            path.name
            for path in self._folder.iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
        }

    async def _read(self, path: Path) -> LiveFrame | SourceEvent | None:
        try:
            written_s = path.stat().st_mtime
            frames, geometry = await asyncio.to_thread(read_series, path)
        except FileNotFoundError:
            return SourceEvent("unreadable", f"{path}: expected a frame, found that it was taken away")
        except InputError as error:
            if now_s() - written_s < UNREADABLE_AFTER_S:
                return None
            self._number += 1
            return SourceEvent("unreadable", str(error))
        number, self._number = self._number, self._number + 1
        if len(frames) != 1:
            return SourceEvent("unreadable", f"{path}: expected one frame, found {len(frames)}")
        plane = plane_in(path.stem, self._usual_plane)
        return LiveFrame(frames[0], number, written_s, now_s(), plane, geometry.spacing_mm, path)
