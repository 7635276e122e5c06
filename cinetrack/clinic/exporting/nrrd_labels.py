"""NRRD sequences as 3D Slicer has them (.seq.nrrd): the label maps, and the frames that they lie on.

Axes are column, row, slice, and a list axis with the frames' own times; see Slicer's developer guide, "Volume sequence
file format".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cinetrack.clinic.exporting.nifti_labels import steps_mm
from cinetrack.clinic.exporting.predicted_case import ExportOptions, PredictedCase
from cinetrack.clinic.packages import clinic_package
from cinetrack.sequence.atomic_write import atomic_path
from cinetrack.sequence.image_files import read_series

HELP = "NRRD: a label map sequence for 3D Slicer (.seq.nrrd), and the frames as another"


def write(case: PredictedCase, folder: Path, options: ExportOptions) -> Path:
    """Write <case>.seq.nrrd, the label maps, and <case>_frames.seq.nrrd; returns the first."""
    names = {f"Segment{number}_Name": name for number, name in enumerate(case.target_names)}
    values = {f"Segment{number}_LabelValue": str(number + 1) for number in range(len(case.target_names))}
    frames, _ = read_series(case.series_path)
    _write(folder / f"{case.case_id}_frames.seq.nrrd", case, frames, "vtkMRMLScalarVolumeNode", {})
    path = folder / f"{case.case_id}.seq.nrrd"
    _write(path, case, case.labels, "vtkMRMLLabelMapVolumeNode", names | values)
    return path


def _write(path: Path, case: PredictedCase, frames: np.ndarray, node: str, more: dict[str, str]) -> None:
    nrrd = clinic_package("nrrd", "to write NRRD")
    steps = steps_mm(case)
    header = {
        "space": "left-posterior-superior",
        "space directions": np.vstack([steps[:, :3].T, np.full(3, np.nan)]),
        "space origin": steps[:, 3],
        "kinds": ["domain", "domain", "domain", "list"],
        "labels": ["", "", "", "time"],
        "units": ["", "", "", "s"],
        "encoding": "gzip",
        "DataNodeClassName": node,
        "axis 3 index type": "numeric",
        "axis 3 index values": " ".join(f"{seconds:.6f}".rstrip("0").rstrip(".") for seconds in case.times_s),
        **more,
    }
    with atomic_path(path) as temporary:
        nrrd.write(str(temporary), frames.transpose(2, 1, 0)[:, :, None, :], header)
