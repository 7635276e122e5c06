"""Options that are settings are held to the settings' declared ranges, before anything is read or written."""

from __future__ import annotations

import pytest

from cinetrack.cli.main import parse
from cinetrack.refinement.settings import NnunetSettings
from cinetrack.refiner_training.training_settings import TrainingSettings

CREATE = ["bundle", "create", "--tracker", "registration", "-o", "bundle"]
PREPARE = ["refiner", "prepare", "--data", "data", "--model", "registration", "-o", "raw"]
TRAIN = ["refiner", "train", "raw", "--folds", "0"]
CROSSVALIDATE = ["refiner", "crossvalidate", "raw", "--data", "data", "-o", "output"]
BUNDLE = ["refiner", "bundle", "raw", "--model", "registration", "--folds", "0", "-o", "bundle"]


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (CREATE, "--region 10", "a whole number, 64 or more (px), found 10"),
        (CREATE, "--refiner-region 10", "a whole number, 64 or more (px), found 10"),
        (CREATE, "--outline-weight 0", "a number, above 0 (log-odds/px), found 0"),
        (CREATE, "--outline-weight -1", "a number, above 0 (log-odds/px), found -1"),
        (CREATE, "--window 0", "a whole number, 1 or more (frames), found 0"),
        (CREATE, "--tile-step-size 1.5", "a number, above 0 and at most 1 (patches), found 1.5"),
        (PREPARE, "--window 0", "a whole number, 1 or more (frames), found 0"),
        (PREPARE, "--every 0", "a whole number, 1 or more (frames), found 0"),
        (PREPARE, "--perturb 1.5", "a number, 0 or more and at most 1, found 1.5"),
        (PREPARE, "--seed -1", "a whole number, 0 or more, found -1"),
        (PREPARE, "--region 9", "a whole number, 64 or more (px), found 9"),
        (PREPARE, "--outline-bias 0", "a number, above 0 (px), found 0"),
        (TRAIN, "--epochs 0", "a whole number, 1 or more, found 0"),
        (TRAIN, "--lr 2", "a number, above 0 and at most 1, found 2"),
        (TRAIN, "--foreground-share 1.5", "a number, 0 or more and at most 1, found 1.5"),
        (CROSSVALIDATE, "--tile-step-size 0", "a number, above 0 and at most 1 (patches), found 0"),
        (CROSSVALIDATE, "--outline-weight heavy", "a number, above 0 (log-odds/px), found heavy"),
        (BUNDLE, "--outline-weight inf", "a number, above 0 (log-odds/px), found inf"),
    ],
)
def test_an_option_out_of_its_range_is_refused_with_2(command, words, message, capsys):
    option, value = words.split()
    with pytest.raises(SystemExit) as stopped:
        parse([*command, option, value])
    assert stopped.value.code == 2
    assert f"argument {option}: expected {message}" in capsys.readouterr().err


def test_what_is_left_out_is_the_declared_default_or_left_to_the_run_that_goes_on():
    assert parse(PREPARE).window == NnunetSettings.window
    assert parse(CROSSVALIDATE).tile_step_size == [NnunetSettings.tile_step_size]
    assert parse([*CROSSVALIDATE, "--outline-weight", "none", "2"]).outline_weight == [None, 2.0]
    left_out = parse(TRAIN)
    assert (left_out.epochs, left_out.learning_rate, left_out.validate) == (None, None, None)
    given = parse([*TRAIN, "--epochs", "3", "--validate"])
    assert TrainingSettings().changed(epochs=given.epochs, validate=given.validate).validate
