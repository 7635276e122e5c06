"""Small cine-MR in DICOM: single-frame files as a scanner exports them, and their enhanced multi-frame form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))  # along a row, along a column: as scanners show it, head up
CORONAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))


@dataclass(frozen=True)
class Cine:
    """A series to write. Pixels are random; times are even."""

    frames: np.ndarray  # (T, rows, columns) uint16 or int16
    directions: tuple = SAGITTAL
    origin_mm: tuple = (12.5, -130.25, 88.125)
    spacing_mm: tuple = (1.75, 1.25)
    rate_hz: float = 4.0
    start_s: float = 36000.0
    patient: str = "P1"
    series: int = 1
    field_t: float | None = 0.35
    region: str | None = "CHEST"
    extra: tuple = ()  # of (keyword, value)

    @property
    def times_s(self) -> list[float]:
        return [self.start_s + index / self.rate_hz for index in range(len(self.frames))]


def random_frames(count=6, rows=10, columns=14, seed=3, dtype=np.uint16) -> np.ndarray:
    low = -2000 if np.dtype(dtype).kind == "i" else 0
    return np.random.default_rng(seed).integers(low, 4000, (count, rows, columns)).astype(dtype)


def uid(*parts) -> str:
    return generate_uid(entropy_srcs=[str(part) for part in parts])


def datasets(cine: Cine) -> list[pydicom.Dataset]:
    """One dataset a frame, in order of time."""
    return [_dataset(cine, index) for index in range(len(cine.frames))]


def write(cine: Cine, folder: Path, names=None) -> list[Path]:
    """Write one file a frame, by default under names that do not tell the order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, dataset in enumerate(datasets(cine)):
        name = names[index] if names else f"IM{(index * 7919 + cine.series * 31) % 10007:05d}.dcm"
        dataset.save_as(folder / name, enforce_file_format=True)
        paths.append(folder / name)
    return paths


def interleaved(one: Cine, other: Cine) -> tuple[Cine, Cine]:
    """Both in one series, frames in turn: the other half an interval later."""
    return one, replace(other, start_s=one.start_s + 0.5 / one.rate_hz, series=one.series, patient=one.patient)


def _dataset(cine: Cine, index: int) -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = uid(cine.patient, cine.series, cine.directions, cine.origin_mm, index)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    dataset.StudyInstanceUID = uid(cine.patient)
    dataset.SeriesInstanceUID = uid(cine.patient, cine.series)
    dataset.FrameOfReferenceUID = uid(cine.patient, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.PatientName, dataset.PatientID = f"Doe^{cine.patient}", f"ID-{cine.patient}"
    dataset.PatientBirthDate, dataset.PatientSex = "19500102", "O"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20240506", "095500", "S1"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "A1", "Ref^Doc"
    dataset.Modality, dataset.Manufacturer = "MR", "maker"
    dataset.SeriesNumber, dataset.InstanceNumber = cine.series, 1000 - index  # which does not tell the order either
    dataset.AcquisitionDate = dataset.ContentDate = "20240506"
    seconds = cine.times_s[index] % 86400
    text = f"{int(seconds // 3600):02d}{int(seconds // 60 % 60):02d}{seconds % 60:09.6f}"
    dataset.AcquisitionTime = dataset.ContentTime = text
    dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "GR", "SS", ""
    dataset.MRAcquisitionType, dataset.EchoTime, dataset.EchoTrainLength = "2D", "1.4", 1
    dataset.RepetitionTime = "3.1"
    if cine.field_t is not None:
        dataset.MagneticFieldStrength = cine.field_t
    if cine.region is not None:
        dataset.BodyPartExamined = cine.region
    dataset.SliceThickness = "7"
    dataset.PixelSpacing = list(cine.spacing_mm)
    dataset.ImageOrientationPatient = [value for direction in cine.directions for value in direction]
    dataset.ImagePositionPatient = list(cine.origin_mm)
    dataset.PatientPosition = "HFS"
    frame = cine.frames[index]
    dataset.Rows, dataset.Columns = frame.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(frame.dtype.kind == "i")
    dataset.PixelData = frame.tobytes()
    for keyword, value in cine.extra:
        setattr(dataset, keyword, value)
    return dataset
