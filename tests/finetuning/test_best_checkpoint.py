"""best.pt is the checkpoint of the greatest mean percent improvement, and any checkpoint fits where SAM2's do."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import initialize_config_dir, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from sam2.build_sam import build_sam2_video_predictor
from stock_sam2 import stock_propagate, stock_state, write_frames
from tiny import SHORT_RUN, assert_equal_states, disc_case, load

from cinetrack.cli.main import main
from cinetrack.evaluation.improvement import improvement_percent
from cinetrack.evaluation.metric_names import ACCURACY, CENTER, DICE, DOSE, HD95, MASD
from cinetrack.finetuning import validation
from cinetrack.finetuning.curves import draw_curves
from cinetrack.finetuning.starting_point import starting_point, write_config_copy
from cinetrack.finetuning.tables import read_table
from cinetrack.finetuning.validation import Validation
from cinetrack.sequence import find_cases
from cinetrack.sequence.intensity import min_max_8bit
from cinetrack.tracking import Chain
from cinetrack.tracking.evidence.sam2.architecture import read_architecture
from cinetrack.tracking.evidence.sam2.source import Sam2Source


def means(dice=0.8, hd95=4.0, masd=2.0, centre=1.0, dose=0.5):
    return {DICE.key: dice, HD95.key: hd95, MASD.key: masd, CENTER.key: centre, DOSE.key: dose}


@pytest.mark.parametrize(
    ("start", "now", "expected"),
    [
        (means(), means(), 0.0),
        (means(), means(dice=0.88), 10 / 5),
        (means(), means(hd95=3.0), 25 / 5),
        (means(), means(dice=0.72, hd95=3.0, masd=2.2, centre=0.5, dose=0.6), (-10 + 25 - 10 + 50 + 20) / 5),
        (means(hd95=math.inf), means(dice=0.88, hd95=3.0), 10 / 4),  # no percent of infinity
        (means(centre=0.0), means(dice=0.88, centre=5.0), 10 / 4),  # nor of nothing
        (means(dose=math.nan), means(dice=0.88, dose=math.nan), 10 / 4),
        (means(0.0, math.inf, math.inf, 0.0, 0.0), means(), 0.0),
        (means(), means(dice=0.99, hd95=math.inf), -math.inf),
        (means(), means(dice=0.99, dose=math.nan), -math.inf),
        (means(), means(dice=0.99, dose=math.inf), -math.inf),
        (means(hd95=math.inf), means(dice=0.88, hd95=math.inf), 10 / 4),
    ],
)
def test_improvement_is_the_mean_percent_change_for_the_better(start, now, expected):
    assert improvement_percent(start, now) == pytest.approx(expected)


def test_the_papers_own_table_improves_as_the_paper_says():
    zero_shot = means(0.9158, 3.324, 1.198, 1.390, 0.9577)
    refined = means(0.9197, 3.066, 1.116, 1.258, 0.9706)
    assert improvement_percent(zero_shot, refined) == pytest.approx((0.426 + 7.76 + 6.84 + 9.50 + 1.35) / 5, abs=5e-3)


def test_the_best_so_far_is_marked_and_a_lost_metric_does_not_hide_later_ones(
    disc_dataset, tiny_config, tmp_path, monkeypatch
):
    given_means = [means(), means(0.9), means(0.9), means(0.99, math.nan), means(0.85), means(0.91), means(0.7)]
    weights = starting_point("scratch", str(tiny_config), 1).weights
    cases = find_cases(disc_dataset)[:1]
    best = []
    for epoch, of_epoch in enumerate(given_means):
        scores = type("Scores", (), {"scores": of_epoch})
        monkeypatch.setattr(validation, "case_metrics", lambda *_, scores=scores: scores)
        # a new object every time, as after a kill: what is known is what the table says
        validated = Validation(cases, tiny_config.name, tiny_config.parent, tmp_path, "cpu").run(weights, epoch)
        best.append(validated.is_best)
    assert best == [True, True, False, False, False, True, False]
    rows = read_table(tmp_path / "validation.csv")
    assert [int(row["epoch"]) for row in rows] == list(range(7))
    assert float(rows[1]["improvement_percent"]) == improvement_percent(means(), means(0.9))
    assert float(rows[3]["improvement_percent"]) == -math.inf
    # An epoch that is validated again, as after a kill, replaces its row and what came later.
    monkeypatch.setattr(validation, "case_metrics", lambda *_: type("Scores", (), {"scores": means(0.95)}))
    again = Validation(cases, tiny_config.name, tiny_config.parent, tmp_path, "cpu").run(weights, 2)
    assert again.is_best and len(read_table(tmp_path / "validation.csv")) == 3
    draw_curves([], rows, tmp_path / "curves.png")  # infinity has no place in the picture, and does no harm
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_the_run_keeps_the_best_of_its_validations_and_the_last_state(finished_run):
    rows = read_table(finished_run / "validation.csv")
    improvements = [float(row["improvement_percent"]) for row in rows]
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2] and improvements[0] == 0
    start = {metric.key: float(rows[0][metric.key]) for metric in ACCURACY}
    for row, improvement in zip(rows, improvements, strict=True):
        now = {metric.key: float(row[metric.key]) for metric in ACCURACY}
        assert improvement_percent(start, now) == improvement
    best, last = load(finished_run / "best.pt"), load(finished_run / "last.pt")
    assert best["epoch"] == int(np.argmax(improvements)) and best["improvement_percent"] == max(improvements)
    assert last["epoch"] == 2 and last["optimizer"]["state"]
    if best["epoch"] == 2:
        assert_equal_states(best["model"], last["model"])


def test_where_nothing_improves_the_best_is_the_start(disc_dataset, tiny_config, tmp_path):
    run = tmp_path / "run"
    # a rate at which nothing moves
    words = ["--data", disc_dataset, "--config", tiny_config, "--init", "scratch", "-o", run, "--device", "cpu",
             *("--epochs", "1", "--clip-frames", "3", "--workers", "0", "--lr", "1e-30", "--image-encoder-lr", "1e-30"),
             *("--set", "trainer.optim.options.weight_decay[0].scheduler.value=0")]  # fmt: skip
    assert main(["finetune", *map(str, words)]) == 0
    rows = read_table(run / "validation.csv")
    assert [float(row["improvement_percent"]) for row in rows] == [0.0, 0.0]
    assert load(run / "best.pt")["epoch"] == 0
    start = starting_point("scratch", str(tiny_config), 123)
    assert_equal_states(load(run / "best.pt")["model"], start.weights)


def test_the_table_is_what_predict_and_evaluate_say_of_best_pt(finished_run, disc_dataset, tmp_path):
    check_table(finished_run, disc_dataset, tmp_path)


def test_so_it_is_where_only_the_targets_surroundings_are_tracked_in(disc_dataset, tiny_config, tmp_path):
    words = ["--data", disc_dataset, "--config", tiny_config, *SHORT_RUN, "--epochs", "1", "--device", "cpu"]
    words += ["--inference-region", "64", "-o", tmp_path / "run"]
    assert main(["finetune", *map(str, words)]) == 0
    check_table(tmp_path / "run", disc_dataset, tmp_path, "--region", "64")


def test_so_it_is_on_stabilised_frames(disc_dataset, tiny_config, tmp_path):
    words = ["--data", disc_dataset, "--config", tiny_config, *SHORT_RUN, "--epochs", "1", "--device", "cpu"]
    words += ["--stabilise", "--region", "64", "64", "-o", tmp_path / "run"]
    assert main(["finetune", *map(str, words)]) == 0
    view = OmegaConf.load(tmp_path / "run/training.yaml").trainer.data.train.datasets[0].datasets[0].view
    assert view == {"stabilise": True, "region_px": [64, 64]}
    check_table(tmp_path / "run", disc_dataset, tmp_path, "--stabilise")


def check_table(run: Path, disc_dataset: Path, tmp_path: Path, *options: str) -> None:
    """The validation's pipeline is the one that users run."""
    (held_out,) = OmegaConf.load(run / "training.yaml").trainer.validation.patients
    bundle = tmp_path / "bundle"
    words = ["--tracker", run / "best.pt", "--tracker-config", run / "tracker.yaml", *options]
    assert main(["bundle", "create", "-o", str(bundle), *map(str, words)]) == 0
    shutil.copytree(disc_dataset / held_out, tmp_path / "data" / held_out)
    words = [tmp_path / "data", "-o", tmp_path / "masks", "--model", bundle, "--device", "cpu"]
    assert main(["predict", *map(str, words)]) == 0
    words = [tmp_path / "masks", "--truth", tmp_path / "data", "-o", tmp_path / "metrics.json"]
    assert main(["evaluate", *map(str, words)]) == 0
    aggregates = json.loads((tmp_path / "metrics.json").read_text())["aggregates"]
    best = load(run / "best.pt")["epoch"]
    expected = read_table(run / "validation.csv")[best]
    for metric in ACCURACY:
        assert float(expected[metric.key]) == pytest.approx(aggregates[metric.key], rel=1e-6), metric.key


@pytest.fixture
def hydra_finds():
    """Stock SAM2 looks configurations up in its own package; these lie in a folder of the user's."""

    def look_in(folder: Path) -> None:
        GlobalHydra.instance().clear()
        initialize_config_dir(str(folder), version_base="1.2")

    yield look_in
    GlobalHydra.instance().clear()
    initialize_config_module("sam2", version_base="1.2")


@pytest.mark.parametrize("name", ["last.pt", "best.pt"])
@pytest.mark.parametrize("place", ["tracker.yaml", "configs/sam2.1/tracker.yaml"])
def test_a_checkpoint_drops_into_stock_build_sam(name, place, finished_run, hydra_finds, tmp_path):
    series, masks = disc_case(2)
    frames = np.stack([min_max_8bit(frame) for frame in series])
    (tmp_path / "search" / place).parent.mkdir(parents=True)
    shutil.copy(finished_run / "tracker.yaml", tmp_path / "search" / place)
    hydra_finds(tmp_path / "search")
    predictor = build_sam2_video_predictor(place, str(finished_run / name), device="cpu", apply_postprocessing=False)
    assert_equal_states(predictor.state_dict(), load(finished_run / name)["model"])
    state = stock_state(predictor, write_frames(tmp_path / "frames", frames))
    predictor.add_new_mask(state, 0, 1, masks[0])
    stock = stock_propagate(predictor, state)
    cpu = torch.device("cpu")
    sam2 = Sam2Source.load("tracker.yaml", finished_run / name, finished_run, cpu, num_frames=len(frames))
    session = Chain("sam2", (sam2,), postprocessing=()).start(frames[0], masks[0])
    for index in range(1, len(frames)):
        np.testing.assert_array_equal(session.step(frames[index]).mask, stock[index][0] > 0)


def test_a_bundle_takes_the_weights_without_what_training_keeps_beside_them(finished_run, tmp_path):
    config = ["--tracker-config", str(finished_run / "tracker.yaml")]
    create = ["bundle", "create", "--tracker", str(finished_run / "last.pt"), *config, "-o", str(tmp_path / "b")]
    assert main(create) == 0
    bundled, trained = load(tmp_path / "b/last.pt"), load(finished_run / "last.pt")
    assert set(bundled) == {"model"} and "optimizer" in trained
    assert_equal_states(bundled["model"], trained["model"])


@pytest.mark.slow
def test_a_published_architecture_at_another_size_is_written_as_inference_needs_it(hydra_finds, tmp_path):
    """Its options of inference, which stock SAM2 sets when it builds, are in the yaml: a bundle takes it as it is."""
    start = starting_point("scratch", "tiny", 3)
    architecture = read_architecture("sam2.1_hiera_t.yaml", Path())
    architecture.image_size = 128
    write_config_copy(architecture, tmp_path)
    torch.save({"model": start.weights}, tmp_path / "best.pt")
    words = ["--tracker", tmp_path / "best.pt", "--tracker-config", tmp_path / "tracker.yaml"]
    assert main(["bundle", "create", "-o", str(tmp_path / "bundle"), *map(str, words)]) == 0
    hydra_finds(tmp_path)
    predictor = build_sam2_video_predictor("tracker", str(tmp_path / "best.pt"), device="cpu")
    stock = build_sam2_video_predictor("tracker", str(tmp_path / "best.pt"), device="cpu", apply_postprocessing=False)
    assert predictor.image_size == stock.image_size == 128
    for built in (predictor, stock):
        assert built.sam_mask_decoder.dynamic_multimask_via_stability and built.binarize_mask_from_pts_for_mem_enc
