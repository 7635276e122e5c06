"""Where a frame's pixels lie in the patient, and how frames are turned to lie as the challenge's do.

Positions are DICOM's patient coordinates in mm: x grows to the patient's left, y to the back, z to the head.

The challenge's sagittal frames have the feet at row 0. Cases made here have, by plane:

| plane    | rows grow towards | columns grow towards |
|----------|-------------------|----------------------|
| sagittal | the head          | the back             |
| coronal  | the head          | the patient's left   |
| axial    | the back          | the patient's left   |

Frames are only transposed and mirrored, never resampled, so a mask goes back to its source exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cinetrack.errors import InputError

Vector = tuple[float, float, float]

# By the axis of the plane's normal: its name, and where rows and columns grow.
PLANES: dict[int, tuple[str, Vector, Vector]] = {
    0: ("sagittal", (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)),
    1: ("coronal", (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)),
    2: ("axial", (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
}
DIRECTION_NAMES = (("right", "left"), ("front", "back"), ("feet", "head"))  # of x, y, z: falling, growing


@dataclass(frozen=True)
class Turn:
    """A transposition of rows and columns, then mirrorings, of frames (..., rows, columns)."""

    transposed: bool = False
    rows_flipped: bool = False
    columns_flipped: bool = False

    def apply(self, frames: np.ndarray) -> np.ndarray:
        """Frames as the source has them -> as the case has them."""
        turned = frames.swapaxes(-1, -2) if self.transposed else frames
        return turned[..., :: -1 if self.rows_flipped else 1, :: -1 if self.columns_flipped else 1]

    def undo(self, frames: np.ndarray) -> np.ndarray:
        """Frames as the case has them -> as the source has them."""
        straight = frames[..., :: -1 if self.rows_flipped else 1, :: -1 if self.columns_flipped else 1]
        return straight.swapaxes(-1, -2) if self.transposed else straight

    def __str__(self) -> str:
        done = [
            text
            for text, wanted in (
                ("rows and columns exchanged", self.transposed),
                ("rows reversed", self.rows_flipped),
                ("columns reversed", self.columns_flipped),
            )
            if wanted
        ]
        return ", ".join(done) or "nothing turned"


@dataclass(frozen=True)
class Placement:
    """Where a grid lies in the patient.

    Attributes:
        origin_mm: centre of the pixel of row 0 and column 0.
        along_row: unit vector in which the column number grows (DICOM's first three direction cosines).
        along_column: unit vector in which the row number grows (the last three).
    Raises:
        InputError: the directions are no unit vectors at right angles.
    """

    origin_mm: Vector
    along_row: Vector
    along_column: Vector

    def __post_init__(self) -> None:
        numbers = np.array([self.origin_mm, self.along_row, self.along_column], dtype=float)
        lengths = np.linalg.norm(numbers[1:], axis=1)
        if not np.isfinite(numbers).all() or abs(lengths - 1).max() > 1e-3 or abs(numbers[1] @ numbers[2]) > 1e-3:
            raise InputError(
                "direction cosines: expected two unit vectors at right angles and a finite position, "
                f"found {_shown(self.along_row)} and {_shown(self.along_column)} at {_shown(self.origin_mm)}"
            )

    @property
    def normal(self) -> np.ndarray:
        """Unit vector across the plane, (3,)."""
        normal = np.cross(self.along_row, self.along_column)
        return normal / np.linalg.norm(normal)

    @property
    def plane_axis(self) -> int:
        """The patient axis nearest to the normal: 0 for sagittal, 1 for coronal, 2 for axial planes."""
        # Rounded, so that of equals (a plane at 45 degrees) the first is taken whatever the last digit says.
        return int(np.argmax(np.round(np.abs(self.normal), 6)))

    @property
    def plane(self) -> str:
        """sagittal, coronal or axial: the nearest."""
        return PLANES[self.plane_axis][0]


@dataclass(frozen=True)
class Grid:
    """The pixels of a series' frames.

    Attributes:
        rows, columns: frame size, px.
        spacing_mm: (row, column) distance of pixel centres, mm; None where the source does not say.
        placement: where they lie in the patient; None where the source does not say.
        thickness_mm: of the slice; None where the source does not say.
    """

    rows: int
    columns: int
    spacing_mm: tuple[float, float] | None = None
    placement: Placement | None = None
    thickness_mm: float | None = None

    def __post_init__(self) -> None:
        if self.spacing_mm is not None and not all(np.isfinite(mm) and mm > 0 for mm in self.spacing_mm):
            raise InputError(f"pixel spacing: expected positive mm, found {_shown(self.spacing_mm)}")

    def position_mm(self, row: np.ndarray | float, column: np.ndarray | float) -> np.ndarray:
        """Patient coordinates (..., 3), mm, of pixel coordinates; fractions are between pixel centres."""
        placement, (row_mm, column_mm) = self._placed()
        positions: np.ndarray = (
            np.asarray(placement.origin_mm)
            + np.multiply.outer(np.asarray(column, dtype=float) * column_mm, np.asarray(placement.along_row))
            + np.multiply.outer(np.asarray(row, dtype=float) * row_mm, np.asarray(placement.along_column))
        )
        return positions

    def pixel_coordinates(self, positions_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(row, column, distance from the plane in mm) of patient coordinates (..., 3)."""
        placement, (row_mm, column_mm) = self._placed()
        offset = np.asarray(positions_mm, dtype=float) - np.asarray(placement.origin_mm)
        return (
            offset @ np.asarray(placement.along_column) / row_mm,
            offset @ np.asarray(placement.along_row) / column_mm,
            offset @ placement.normal,
        )

    def turned(self, turn: Turn) -> Grid:
        """The grid of the frames that `turn.apply` gives."""
        rows, columns = (self.columns, self.rows) if turn.transposed else (self.rows, self.columns)
        spacing = self.spacing_mm
        if spacing is not None and turn.transposed:
            spacing = (spacing[1], spacing[0])
        placement = self.placement
        if placement is not None:
            along_row, along_column = np.asarray(placement.along_row), np.asarray(placement.along_column)
            if turn.transposed:
                along_row, along_column = along_column, along_row
            origin = np.asarray(placement.origin_mm)
            if (turn.rows_flipped or turn.columns_flipped) and spacing is None:
                raise InputError("pixel spacing: expected it beside direction cosines, found none")
            if turn.rows_flipped and spacing is not None:
                origin, along_column = origin + (rows - 1) * spacing[0] * along_column, -along_column
            if turn.columns_flipped and spacing is not None:
                origin, along_row = origin + (columns - 1) * spacing[1] * along_row, -along_row
            placement = Placement(_vector(origin), _vector(along_row), _vector(along_column))
        return replace(self, rows=rows, columns=columns, spacing_mm=spacing, placement=placement)

    def same_place(self, other: Grid, tolerance_mm: float = 0.01) -> bool:
        """Whether both grids' four corners are at the same positions."""
        if (self.rows, self.columns) != (other.rows, other.columns):
            return False
        row, column = np.array([0, 0, self.rows - 1, self.rows - 1]), np.array([0, self.columns - 1] * 2)
        return bool(np.abs(self.position_mm(row, column) - other.position_mm(row, column)).max() <= tolerance_mm)

    def _placed(self) -> tuple[Placement, tuple[float, float]]:
        if self.placement is None or self.spacing_mm is None:
            raise InputError(
                "frames: expected direction cosines, a position and pixel spacing, found them not all given"
            )
        return self.placement, self.spacing_mm


def turn_by_placement(placement: Placement) -> Turn:
    """The turn that brings frames of this placement to lie as the table above says."""
    _, rows_grow, columns_grow = PLANES[placement.plane_axis]
    along_row, along_column = np.asarray(placement.along_row), np.asarray(placement.along_column)
    # Rounded, for the same reason as the plane: at 45 degrees nothing is exchanged.
    shares = np.round(np.abs([along_row @ rows_grow, along_column @ rows_grow]), 6)
    transposed = bool(shares[0] > shares[1])
    if transposed:
        along_row, along_column = along_column, along_row
    return Turn(transposed, bool(along_column @ rows_grow < 0), bool(along_row @ columns_grow < 0))


def turn_by_top(top: str) -> Turn:
    """The turn of pictures that say nothing of the patient: the one who gives them says what their first row shows.

    Args:
        top: "head" or "feet".
    """
    return Turn(rows_flipped=top == "head")


def opposite_name(direction: Vector) -> str:
    """The end of the patient that a direction leads away from: head, feet, front, back, left or right."""
    axis = int(np.argmax(np.round(np.abs(direction), 6)))
    return DIRECTION_NAMES[axis][int(direction[axis] < 0)]


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _shown(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"
