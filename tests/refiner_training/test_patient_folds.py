"""Folds by patient: nobody is on both sides, and every fold looks like the whole."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.refiner_training.patient_folds import check_splits, deal_patients, fold_of, read_folds, splits_of
from cinetrack.sequence import find_cases

STRATA = st.dictionaries(
    st.text("ABC_0123456789", min_size=1, max_size=6),
    st.tuples(st.sampled_from([0.35, 1.5]), st.sampled_from(["abdomen", "thorax", "pelvis"])),
    min_size=2,
    max_size=40,
)


@given(STRATA, st.integers(0, 3))
def test_every_patient_is_held_out_once(strata, seed):
    folds = deal_patients(strata, seed)
    assert sorted(patient for fold in folds for patient in fold) == sorted(strata)
    assert all(patient in folds[fold_of(folds, patient)] for patient in strata)


@given(STRATA, st.integers(0, 3))
def test_folds_differ_by_one_patient_at_most_in_total_and_in_every_stratum(strata, seed):
    folds = deal_patients(strata, seed)
    assert len(folds) == min(5, len(strata))
    for stratum in (None, *set(strata.values())):
        counts = [sum(stratum in (None, strata[patient]) for patient in fold) for fold in folds]
        assert max(counts) - min(counts) <= 1


def test_the_same_seed_deals_the_same_folds_in_whatever_order_patients_are_found():
    strata = {f"P{number}": (0.35, "thorax") for number in range(12)}
    assert deal_patients(strata, 4) == deal_patients(dict(reversed(strata.items())), 4)
    assert deal_patients(strata, 4) != deal_patients(strata, 5)


def test_one_patient_cannot_be_split():
    with pytest.raises(InputError, match="at least two labelled patients, found 1"):
        deal_patients({"A": (0.35, "thorax")})


@given(STRATA, st.integers(1, 4))
def test_no_patient_has_samples_on_both_sides(strata, samples_each):
    folds = deal_patients(strata)
    patient_of = {f"{patient}__{n}": patient for patient in strata for n in range(samples_each)}
    splits = splits_of(folds, patient_of)
    check_splits(Path("splits_final.json"), splits, patient_of)
    for split in splits:
        assert not {patient_of[name] for name in split["train"]} & {patient_of[name] for name in split["val"]}
        assert sorted(split["train"] + split["val"]) == sorted(patient_of)
    assert Counter(name for split in splits for name in split["val"]) == Counter(list(patient_of))


def test_splits_as_nnunet_makes_them_by_name_are_refused():
    patient_of = {f"A__{n}": "A" for n in range(4)} | {f"B__{n}": "B" for n in range(4)}
    by_name = [{"train": ["A__0", "A__1", "B__0", "B__1"], "val": ["A__2", "B__2"]}]
    with pytest.raises(InputError, match="each patient on one side, found A in train and val of fold 0"):
        check_splits(Path("splits_final.json"), by_name, patient_of)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": []}, "a list of folds"),
        ([{"train": ["A__0"], "val": []}], "samples in val, found none"),
        ([{"train": ["A__0"], "val": ["C__0"]}], "found C__0"),
    ],
)
def test_splits_of_another_kind_are_refused(splits, message):
    with pytest.raises(InputError, match=message):
        check_splits(Path("splits_final.json"), splits, {"A__0": "A", "B__0": "B"})


def test_split_writes_folds_that_prepare_reads(discs, tmp_path, capsys):
    path = tmp_path / "folds.json"
    assert main(["refiner", "split", "--data", str(discs), "-o", str(path)]) == 0
    assert "fold 4 holds out 1 of 6 patients" in capsys.readouterr().out
    patients = {folder.name for folder in discs.iterdir()}
    folds = read_folds(path, patients)
    assert {patient for fold in folds for patient in fold} == patients
    # Folds of a larger dataset serve for a part of it.
    assert read_folds(path, patients - {folds[0][0]})[0] == folds[0][1:]


def test_links_make_a_dataset_of_each_folds_sides(discs, tmp_path, capsys):
    command = ["refiner", "split", "--data", str(discs), "-o", str(tmp_path / "f.json")]
    command += ["--links", str(tmp_path / "by")]
    everybody = {folder.name for folder in discs.iterdir()}
    assert main(command) == 0
    for number, held_out in enumerate(json.loads((tmp_path / "f.json").read_text())["held_out"]):
        sides = {side: find_cases(tmp_path / f"by/fold_{number}/{side}") for side in ("train", "held-out")}
        assert {case.patient_id for case in sides["held-out"]} == set(held_out)
        assert {case.patient_id for case in sides["train"]} == everybody - set(held_out)
        assert sides["train"][0].read_labels().any()
    assert main(command) == 2
    assert "expected a new folder for the links" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"held_out": [["A"], ["A", "B"]]}, "found A twice"),
        ({"held_out": [["A"], ["C"]]}, "found none for B"),
        ({"held_out": [["A", "B"]]}, "found 1 folds"),
        ({"held_out": [["A", "B"], ["C"]]}, "found fold 1 without any"),
        ({"held_out": "A"}, "found something else"),
        (["A", "B"], "found something else"),
    ],
)
def test_unusable_folds_are_refused(tmp_path, content, message):
    path = tmp_path / "folds.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_folds(path, {"A", "B"})
