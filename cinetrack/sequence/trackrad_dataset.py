"""TrackRAD2025 dataset folders: labelled, unlabelled with several series a patient, and extra observers.

    <patient>/{field-strength.json | b-field-strength.json, frame-rate[N].json, scanned-region[N].json}
    <patient>/images/<patient>_frames[N].mha
    <patient>/targets/{<patient>_first_label[N].mha, <patient>_labels[N].mha, <patient>_labels[N]_<observer>.mha,
                       <patient>_staple_labels[N].mha}

N numbers a patient's further series; where there is no series of that number, `<patient>_labels2.mha` is a second
observer's. Where there are STAPLE labels, the consensus of several observers, they are the truth, as in the challenge's
evaluation, and `<patient>_labels.mha` counts as one more observer's. Images may have any of the endings that are read,
in any case. What is wrong with a case is said when it is read: it must not end the work on the others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cinetrack.errors import InputError
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.sequence.cine_sequence import CineSequence
from cinetrack.sequence.grand_challenge import LoadedCase, load_case
from cinetrack.sequence.image_files import ImageGeometry, read_masks, read_series, write_masks, write_series
from cinetrack.sequence.json_files import read_positive_number, read_word
from cinetrack.sequence.patient_folder import images_in, labels_of, same_but_for_ending, series_of
from cinetrack.sequence.reading import input_errors

SERIES_NAME = "images/{}_frames.mha"
FIELD_STRENGTH_NAMES = ("b-field-strength.json", "field-strength.json")


@dataclass(frozen=True)
class CaseFiles:
    """Where the files of one series lie. Nothing is read until a method asks for it.

    Attributes:
        problem: why the case cannot be used, as its folder shows; "" where nothing is known against it.
    """

    patient_id: str
    folder: Path
    series_path: Path
    scan: str = ""  # "" for the first series, "2", "3", ... for further ones
    first_label_path: Path | None = None
    labels_path: Path | None = None
    observer_labels: dict[str, Path] = field(default_factory=dict)  # further observers by the name in the file
    problem: str = ""

    @property
    def case_id(self) -> str:
        """The patient's name, with the series' number where there are several."""
        return f"{self.patient_id}_scan{self.scan}" if self.scan else self.patient_id

    def check(self) -> None:
        """Raise InputError where the case cannot be used."""
        if self.problem:
            raise InputError(self.problem)

    def checked(self, labels: Path) -> Path:
        """`labels`, which are of this case. Raises InputError where two files of that name differ in their endings."""
        self.check()
        with input_errors(labels.parent, "a folder of labels"):
            same = same_but_for_ending(labels)
        if len(same) > 1:
            raise InputError(_several(same))
        return labels

    def labels_file(self) -> Path:
        """The file with the true masks of every frame. Raises InputError where there is none, or it cannot be used."""
        self.check()
        if self.labels_path is None:
            name = f"{self.patient_id}_labels{self.scan}.mha"
            raise InputError(f"{self.folder / 'targets' / name}: expected labels of every frame, found none")
        return self.checked(self.labels_path)

    def frame_rate_hz(self) -> float:
        """Frame rate of this series, Hz."""
        return read_positive_number(self._json("frame-rate"), "Hz")

    def field_strength_t(self) -> float:
        """Field strength, T, from either spelling of the file's name."""
        found = [self.folder / name for name in FIELD_STRENGTH_NAMES if os.path.exists(self.folder / name)]
        return read_positive_number(found[0] if found else self.folder / FIELD_STRENGTH_NAMES[0], "T")

    def region(self) -> str:
        """Scanned region of this series."""
        return read_word(self._json("scanned-region"), "scanned region")

    def read_sequence(self) -> tuple[CineSequence, ImageGeometry]:
        """The series with its frame rate, field strength and region. Raises InputError naming the bad file."""
        self.check()
        frames, geometry = read_series(self.series_path)
        sequence = CineSequence(
            frames, geometry.spacing_mm, self.frame_rate_hz(), self.field_strength_t(), self.region()
        )
        return sequence, geometry

    def read_case(self) -> LoadedCase:
        """The series with its first-frame mask. Raises InputError where the series has none."""
        self.check()
        if self.first_label_path is None:
            raise InputError(
                f"{self.folder / 'targets' / f'{self.patient_id}_first_label{self.scan}.mha'}: "
                "expected the first-frame mask, found none (`cinetrack label` is where to draw it)"
            )
        return load_case(
            self.case_id,
            self.series_path,
            self.checked(self.first_label_path),
            self.frame_rate_hz(),
            self.field_strength_t(),
            self.region(),
        )

    def read_labels(self, observer: str | None = None, shape: tuple[int, int, int] | None = None) -> np.ndarray:
        """True masks of every frame, (T, H, W) bool, by the main observer or a named further one.

        Args:
            shape: (T, H, W) that they must have, where it is known.
        """
        path = self.labels_path if observer is None else self.observer_labels.get(observer)
        if path is None:
            raise InputError(f"{self.folder / 'targets'}: expected labels of {observer or 'every frame'}, found none")
        return read_masks(self.checked(path), shape)[0]

    def _json(self, stem: str) -> Path:
        # A further series without a file of its own shares the first one's.
        own = self.folder / f"{stem}{self.scan}.json"
        return own if os.path.exists(own) else self.folder / f"{stem}.json"


def find_cases(root: Path | str) -> list[CaseFiles]:
    """Find the series of a data set, or of a single patient, sorted by patient and series. Nothing is read yet.

    Args:
        root: a folder of patients' folders, or one patient's. A folder counts as a patient's where it has `images/` or
            `targets/`.
    Raises:
        InputError: `root` is missing, or holds no patient.

    Examples:
        >>> [case.case_id for case in find_cases("examples/data")]
        ['P977_0001']
    """
    root = Path(root)
    with input_errors(root, "a TrackRAD2025 dataset or patient folder"):
        if not root.is_dir():
            raise InputError(f"{root}: expected a TrackRAD2025 dataset or patient folder, found none")
        if is_patient(root):
            return cases_of_patient(root.absolute())
        folders = sorted(path for path in root.iterdir() if path.is_dir())
    patients = [path for path in folders if is_patient(path)]
    if not patients:
        raise InputError(f"{root}: expected patient folders with images/<patient>_frames.mha, found none")
    return [case for patient in patients for case in cases_of_patient(patient)]


def check_each_once(cases: Iterable[CaseFiles]) -> None:
    """Raise InputError where two cases have one name, as those of two datasets may."""
    seen: dict[str, CaseFiles] = {}
    for case in cases:
        if case.case_id in seen:
            raise InputError(
                f"{case.folder}: expected each case once, found {case.case_id} in {seen[case.case_id].folder} too"
            )
        seen[case.case_id] = case


def cases_of_patient(folder: Path) -> list[CaseFiles]:
    """The series of one patient. What is wrong with one is reported when it is read, not here."""
    patient = folder.name
    try:
        series = series_of(patient, images_in(folder / "images"))
        targets = images_in(folder / "targets")
    except OSError as error:
        # With labels, so that no list of labelled cases leaves it out without a word.
        problem = f"{folder}: expected a patient's folder, found it unreadable ({error.strerror})"
        missing = folder / "targets" / f"{patient}_labels.mha"
        return [CaseFiles(patient, folder, folder / SERIES_NAME.format(patient), labels_path=missing, problem=problem)]
    series = series or {"": [folder / SERIES_NAME.format(patient)]}
    labels = labels_of(patient, targets, series)
    return [
        CaseFiles(
            patient_id=patient,
            folder=folder,
            series_path=paths[0],
            scan=scan,
            first_label_path=labels[scan].first,
            labels_path=labels[scan].truth,
            observer_labels=labels[scan].observers,
            problem="" if len(paths) == 1 else _several(paths),
        )
        for scan, paths in series.items()
    ]


def write_case(
    root: Path, case_id: str, sequence: CineSequence, labels: np.ndarray | None, geometry: ImageGeometry | None = None
) -> Path:
    """Write a series, and its labels where there are any, as a patient's folder below `root`; returns the folder.

    Args:
        labels: (T, H, W) bool; the first frame's is also written by itself.
        geometry: as read; by default the sequence's spacing at the origin.
    """
    folder = root / case_id
    geometry = geometry or ImageGeometry.in_plane(sequence.spacing_mm)
    write_series(folder / "images" / f"{case_id}_frames.mha", sequence.frames, geometry)
    if labels is not None:
        write_masks(folder / "targets" / f"{case_id}_labels.mha", labels, geometry)
        write_masks(folder / "targets" / f"{case_id}_first_label.mha", labels[:1], geometry)
    for name, value in (
        ("b-field-strength", sequence.field_strength_t),
        ("frame-rate", sequence.frame_rate_hz),
        ("scanned-region", sequence.region),
    ):
        write_text_atomically(folder / f"{name}.json", json.dumps(value))
    return folder


def is_patient(folder: Path) -> bool:
    """Whether a folder has `images/` or `targets/`."""
    try:
        return (folder / "images").is_dir() or (folder / "targets").is_dir()
    except OSError:  # reported when it is read
        return True


def _several(paths: list[Path]) -> str:
    names = " and ".join(path.name for path in paths)
    return f"{paths[0].parent}: expected one file of each series or labels, found {names}"
