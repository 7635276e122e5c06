"""The one list of export formats, by the name that the command takes."""

from __future__ import annotations

from cinetrack.clinic.exporting import coco, dicom_seg, nifti_labels, nrrd_labels, rtstruct, trajectory
from cinetrack.clinic.exporting.predicted_case import ExportFormat

FORMATS: dict[str, ExportFormat] = {
    "dicom-seg": dicom_seg,
    "rtstruct": rtstruct,
    "nifti": nifti_labels,
    "nrrd": nrrd_labels,
    "coco": coco,
    "trajectory": trajectory,
}
