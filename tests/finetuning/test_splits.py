"""Patients are trained on or validated with, never both, and never by frame."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinetrack.errors import InputError
from cinetrack.finetuning.splits import held_out_cases, split_patients
from cinetrack.finetuning.training_case import TrainingCase
from cinetrack.sequence import CaseFiles, find_cases

FOLDER = Path("data")


def case(patient, scan="", pseudo=False, prompted=True):
    first = Path("first.mha") if prompted else None
    files = CaseFiles(patient, FOLDER / patient, Path("frames.mha"), scan, first, None if pseudo else Path("l.mha"))
    return TrainingCase(files, Path("masks.mha"), (0, 1) if pseudo else None)


cases_of_patients = st.lists(
    st.builds(
        case,
        patient=st.sampled_from([f"P{number}" for number in range(9)]),
        scan=st.sampled_from(["", "2", "3"]),
        pseudo=st.booleans(),
        prompted=st.booleans(),
    ),
    min_size=1,
    max_size=25,
)


def touch_case(root, patient, labelled=True):
    for name in ("images/{}_frames.mha", "targets/{}_first_label.mha", "targets/{}_labels.mha")[: 3 if labelled else 1]:
        path = root / patient / name.format(patient)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@given(cases=cases_of_patients, share=st.floats(0, 0.99), seed=st.integers(0, 2**31))
def test_a_share_of_the_patients_is_held_out_and_trained_on_never(cases, share, seed):
    split = split_patients(cases, [FOLDER], [], share, seed)
    patients = {c.case.patient_id for c in cases}
    usable = {c.case.patient_id for c in cases if not c.is_pseudo_labelled and c.case.first_label_path is not None}
    assert not set(split.training) & set(split.validation)
    assert set(split.training) | set(split.validation) == patients
    assert set(split.validation) <= usable and split.training
    if share == 0 or len(usable) < 2:
        assert not split.validation
    else:
        assert len(split.validation) == min(max(1, round(share * len(usable))), len(usable) - 1)
    assert split == split_patients(list(reversed(cases)), [FOLDER], [], share, seed)


@given(
    trained=st.sets(st.sampled_from("ABCDEFG"), min_size=1),
    held=st.sets(st.sampled_from("ABCDEFG"), min_size=1),
    unlabelled=st.sets(st.sampled_from("ABCDEFG")),
)
@settings(max_examples=30)
def test_patients_to_validate_with_are_never_trained_on(trained, held, unlabelled):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for patient in held:
            touch_case(root, patient)
        for patient in unlabelled - held:
            touch_case(root, patient, labelled=False)
        cases = [case(patient) for patient in trained] + [case(patient, "2", pseudo=True) for patient in trained]
        if trained <= held:
            with pytest.raises(InputError, match="expected patients to train on that are not for validation"):
                split_patients(cases, [FOLDER], [root], 0.2, 1)
            return
        split = split_patients(cases, [FOLDER], [root], 0.2, 1)
        assert set(split.training) == trained - held and set(split.validation) == held
        assert {c.patient_id for c in held_out_cases(split.validation_folders, split.validation)} == held


def test_other_seeds_hold_out_other_patients():
    cases = [case(f"P{number:02d}") for number in range(20)]
    assert len({split_patients(cases, [FOLDER], [], 0.2, seed).validation for seed in range(10)}) > 5


def test_a_case_may_be_validated_with_once(tmp_path):
    touch_case(tmp_path / "one", "A")
    touch_case(tmp_path / "two", "A")
    with pytest.raises(InputError, match="each case once, found A in .*one/A too"):
        split_patients([case("B")], [FOLDER], [tmp_path / "one", tmp_path / "two"], 0.2, 1)
    with pytest.raises(InputError, match="once"):
        split_patients([case("B")], [FOLDER], [tmp_path / "one", tmp_path / "one"], 0.2, 1)


def test_folders_to_validate_with_need_a_labelled_case(tmp_path):
    touch_case(tmp_path / "val", "A", labelled=False)
    assert len(find_cases(tmp_path / "val")) == 1
    with pytest.raises(InputError, match="val: expected a case with labels .* to validate with, found none"):
        split_patients([case("B")], [FOLDER], [tmp_path / "val"], 0.2, 1)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_is_a_share(share):
    with pytest.raises(InputError, match="validation share"):
        split_patients([case("A"), case("B")], [FOLDER], [], share, 1)
