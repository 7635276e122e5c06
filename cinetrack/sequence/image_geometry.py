"""Where a file's voxels lie in space."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ImageGeometry:
    """Where a file's voxels lie, in ITK's axis order (time, column, row); carried from input to output."""

    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]  # 3 x 3, row-major

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """In-plane (row, column) spacing, mm."""
        return self.spacing[2], self.spacing[1]

    @classmethod
    def in_plane(cls, spacing_mm: tuple[float, float], frame_spacing: float = 5.0) -> ImageGeometry:
        """A geometry at the origin for (row, column) spacing in mm; `frame_spacing` is the slice thickness in mm."""
        return cls((frame_spacing, spacing_mm[1], spacing_mm[0]), (0.0, 0.0, 0.0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
