"""NRRD label map sequences as 3D Slicer has them (.seq.nrrd): column, row, slice, and a list axis with frame times."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cinetrack.clinic.exporting.nifti_labels import steps_mm
from cinetrack.clinic.exporting.predicted_case import ExportOptions, PredictedCase
from cinetrack.clinic.packages import clinic_package
from cinetrack.sequence.atomic_write import atomic_path

HELP = "NRRD: a label map sequence for 3D Slicer (.seq.nrrd)"


def write(case: PredictedCase, folder: Path, options: ExportOptions) -> Path:
    """Write <case>.seq.nrrd."""
    path = folder / f"{case.case_id}.seq.nrrd"
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
        "DataNodeClassName": "vtkMRMLLabelMapVolumeNode",
        "axis 3 index type": "numeric",
        "axis 3 index values": " ".join(f"{seconds:.6f}".rstrip("0").rstrip(".") for seconds in case.times_s),
    }
    for number, name in enumerate(case.target_names):
        header |= {f"Segment{number}_LabelValue": str(number + 1), f"Segment{number}_Name": name}
    with atomic_path(path) as temporary:
        nrrd.write(str(temporary), case.labels.transpose(2, 1, 0)[:, :, None, :], header)
    return path
