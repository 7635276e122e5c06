"""A grid from the vectors that NIfTI, NRRD and MetaImage store: steps from pixel to pixel instead of cosines."""

from __future__ import annotations

import numpy as np

from cinetrack.clinic.grid import Grid, Placement, Vector
from cinetrack.errors import InputError


def grid_of_affine(
    rows: int,
    columns: int,
    origin_mm: np.ndarray,
    column_step_mm: np.ndarray,
    row_step_mm: np.ndarray,
    slice_step_mm: np.ndarray | None,
) -> Grid:
    """The grid whose column and row numbers grow along these steps.

    Args:
        origin_mm, column_step_mm, row_step_mm, slice_step_mm: (3,) in DICOM's patient coordinates, mm; the last is
            None where the file has no slice axis.
    Raises:
        InputError: a step is 0 or not finite, or the steps are not at right angles.
    """
    steps = np.array([column_step_mm, row_step_mm], dtype=float)
    lengths = np.linalg.norm(steps, axis=1)
    if not np.isfinite(steps).all() or (lengths <= 0).any():
        raise InputError(f"pixel steps: expected finite vectors with a length, found {steps.tolist()}")
    along_row, along_column = steps / lengths[:, None]
    thickness = None if slice_step_mm is None else float(np.linalg.norm(slice_step_mm))
    return Grid(
        rows,
        columns,
        (float(lengths[1]), float(lengths[0])),
        Placement(_vector(origin_mm), _vector(along_row), _vector(along_column)),
        thickness if thickness and np.isfinite(thickness) else None,
    )


def _vector(values: np.ndarray) -> Vector:
    x, y, z = (float(value) for value in values)
    return x, y, z
