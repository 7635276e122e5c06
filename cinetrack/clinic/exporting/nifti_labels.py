"""NIfTI: one label image over time, (column, row, slice, time), in the patient's place."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cinetrack.clinic.exporting.predicted_case import ExportOptions, PredictedCase
from cinetrack.clinic.packages import clinic_package
from cinetrack.sequence.atomic_write import atomic_path

HELP = "NIfTI: one label image over time (.nii.gz)"


def write(case: PredictedCase, folder: Path, options: ExportOptions) -> Path:
    """Write <case>.nii.gz."""
    path = folder / f"{case.case_id}.nii.gz"
    nibabel = clinic_package("nibabel", "to write NIfTI")
    affine = np.eye(4)
    affine[:3] = steps_mm(case)
    affine[:2] *= -1  # NIfTI's x grows to the right, y to the front
    image = nibabel.Nifti1Image(case.labels.transpose(2, 1, 0)[:, :, None, :], affine)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_zooms((*image.header.get_zooms()[:3], 1 / case.frame_rate_hz))
    with atomic_path(path) as temporary:
        nibabel.save(image, temporary)
    return path


def steps_mm(case: PredictedCase) -> np.ndarray:
    """(3, 4) in DICOM's patient coordinates, mm: steps to the next column, row and slice; the origin."""
    placement, spacing = case.grid.placement, case.grid.spacing_mm
    assert placement is not None and spacing is not None
    return np.stack(
        [
            np.asarray(placement.along_row) * spacing[1],
            np.asarray(placement.along_column) * spacing[0],
            placement.normal * (case.grid.thickness_mm or 1.0),
            np.asarray(placement.origin_mm),
        ],
        axis=1,
    )
