"""What a run leaves behind: the effective configuration, tables, TensorBoard, curves; and nothing on stdout."""

from __future__ import annotations

import io
import json
import logging
import shutil

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import SHORT_RUN, disc_case, finetune, load, write_objects

from cinetrack.cli.main import main
from cinetrack.evaluation.metric_names import ACCURACY
from cinetrack.finetuning.curves import draw_curves
from cinetrack.finetuning.run_log import LOSS_COLUMNS
from cinetrack.finetuning.tables import read_table
from cinetrack.finetuning.validation import overlay
from cinetrack.sequence import CineSequence
from cinetrack.sequence.intensity import min_max_8bit
from cinetrack.sequence.trackrad_dataset import write_case


def test_stdout_is_empty_and_stderr_has_progress_and_no_network_dump(finished_process):
    _, done = finished_process
    assert done.stdout == ""
    assert "epoch 2/2" in done.stderr and "step/s" in done.stderr and "loss" in done.stderr
    for epoch in range(3):
        assert f"after epoch {epoch}: DSC" in done.stderr
    assert "PatchEmbed" not in done.stderr


def test_no_environment_variable_is_written_down(short_run_words, tmp_path, monkeypatch):
    """Upstream logs them all, and some hold passwords."""
    monkeypatch.setenv("CINETRACK_TEST_SECRET", "hunter2hunter2")
    done = finetune(*short_run_words, "--epochs", "1", "--val-share", "0", "-o", tmp_path / "run")
    assert done.returncode == 0 and "hunter2" not in done.stderr
    written = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert any(path.name == "log.txt" for path in written)
    assert not any(b"hunter2" in path.read_bytes() for path in written)
    # Nothing was validated, so nothing is best.
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"cache", "curves.png", "last.pt", "logs", "losses.csv", "tensorboard", "tracker.yaml",
                     "training.yaml"}  # fmt: skip


def test_the_effective_configuration_is_saved_and_resolved(finished_run, disc_dataset, tiny_config):
    text = (finished_run / "training.yaml").read_text()
    assert "${" not in text
    config = OmegaConf.create(text)
    assert config.trainer.max_epochs == 2 and config.scratch.num_frames == 3
    assert config.trainer.start == {"init": "scratch", "config": str(tiny_config)}
    (source,) = config.trainer.data.train.datasets[0].datasets
    assert source.folders == [str(disc_dataset)] and len(source.patients) == 2
    assert len(config.trainer.validation.patients) == 1
    assert not set(source.patients) & set(config.trainer.validation.patients)
    own = OmegaConf.load(tiny_config).model
    assert OmegaConf.load(finished_run / "tracker.yaml").model == own


def test_the_tables_have_a_row_an_epoch(finished_run):
    losses, validation = read_table(finished_run / "losses.csv"), read_table(finished_run / "validation.csv")
    assert [(row["epoch"], row["steps"]) for row in losses] == [("1", "4"), ("2", "8")]
    for row in losses:
        assert tuple(row) == LOSS_COLUMNS
        total = 20 * float(row["loss_mask"]) + sum(float(row[f"loss_{part}"]) for part in ("dice", "iou", "class"))
        assert float(row["loss"]) == pytest.approx(total, rel=1e-4)
        assert 0 < float(row["lr_lowest"]) < float(row["lr_highest"]) <= 1e-3
    assert [row["epoch"] for row in validation] == ["0", "1", "2"]
    assert all(np.isfinite(float(value)) for row in validation for value in row.values())


def test_tensorboard_holds_losses_metrics_and_overlays(finished_run):
    events = EventAccumulator(str(finished_run / "tensorboard"), size_guidance={"tensors": 0, "images": 0})
    events.Reload()
    tags = events.Tags()
    scalars = set(tags["scalars"]) | set(tags["tensors"])
    assert {"Losses/train_all_loss", "Losses/train_all_loss_dice", "Step_Losses/Losses/train_all_loss"} <= scalars
    assert {f"Validation/{metric.key}" for metric in ACCURACY} | {"Validation/improvement_percent"} <= scalars
    rows = read_table(finished_run / "validation.csv")
    found = events.Tensors("Validation/improvement_percent")
    assert [event.step for event in found] == [0, 1, 2]
    for event, row in zip(found, rows, strict=True):
        assert event.tensor_proto.float_val[0] == pytest.approx(float(row["improvement_percent"]), rel=1e-5, abs=1e-5)
    (held_out,) = OmegaConf.load(finished_run / "training.yaml").trainer.validation.patients
    pictures = events.Images(f"Validation/{held_out}")
    assert [picture.step for picture in pictures] == [0, 1, 2]
    picture = Image.open(io.BytesIO(pictures[0].encoded_image_string))
    assert picture.size == (56, 72)


def test_an_overlay_shows_both_outlines_on_the_frame_head_up():
    series, masks = disc_case(0)
    shifted = np.roll(masks[0], 8, axis=1)
    picture = overlay(series[0], masks[0], shifted)
    assert picture.shape == (72, 56, 3) and picture.dtype == np.uint8
    green, orange = (0, 200, 0), (255, 150, 0)
    for colour, mask in ((green, masks[0]), (orange, shifted)):
        rows, columns = np.nonzero((picture[::-1] == colour).all(axis=2))  # row 0 of the data is the feet's side
        wanted_rows, wanted_columns = np.nonzero(mask)
        assert abs(rows.min() - wanted_rows.min()) <= 1 and abs(rows.max() - wanted_rows.max()) <= 1
        assert abs(columns.max() - wanted_columns.max()) <= 1
    grey = (picture[..., 0] == picture[..., 1]) & (picture[..., 1] == picture[..., 2])
    np.testing.assert_array_equal(picture[::-1][grey[::-1]][:, 0], min_max_8bit(series[0])[grey[::-1]])
    assert not (overlay(series[0], masks[0], np.zeros_like(masks[0])) == orange).all(axis=2).any()


def coloured(picture: np.ndarray, rgb: tuple[int, int, int]) -> np.ndarray:
    return (np.abs(picture[..., :3].astype(int) - rgb) < 40).all(axis=2)


def test_the_curves_show_the_losses_and_the_validation(finished_run, tmp_path):
    with Image.open(finished_run / "curves.png") as image:
        assert image.format == "PNG"
        picture = np.asarray(image.convert("RGB"))
    losses, validation = read_table(finished_run / "losses.csv"), read_table(finished_run / "validation.csv")
    # All of both, the last validation too: the picture equals one drawn from the whole tables, and none from less.
    pictures = []
    for rows in ((losses, validation), (losses, validation[:-1]), (losses[:-1], validation)):
        draw_curves(*rows, tmp_path / "curves.png")
        pictures.append(np.asarray(Image.open(tmp_path / "curves.png").convert("RGB")))
    np.testing.assert_array_equal(picture, pictures[0])
    assert not any(np.array_equal(picture, other) for other in pictures[1:])
    middle = picture.shape[1] // 2
    blue, orange = (31, 119, 180), (255, 127, 14)
    assert coloured(picture[:, :middle], blue).sum() > 50  # the loss
    assert coloured(picture[:, middle:], blue).sum() > 50 and coloured(picture[:, middle:], orange).sum() > 50


def test_curves_can_be_drawn_before_there_is_anything(tmp_path):
    draw_curves([], [], tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").size[0] > 100


def test_a_run_leaves_the_process_as_it_found_it(short_run_words, tmp_path, capfd):
    root, handlers = logging.root, list(logging.root.handlers)
    words = ["finetune", *short_run_words, "--epochs", "1", "--val-share", "0", "-o", str(tmp_path / "run")]
    assert main(words) == 0
    assert logging.root is root and all(handler in root.handlers for handler in handlers)
    assert not logging.getLogger("training.trainer").handlers
    print("a result")
    assert capfd.readouterr().out == "a result\n"


def test_training_goes_on_from_a_runs_own_checkpoint(finished_run, disc_dataset, tmp_path):
    words = ["--data", disc_dataset, "--init", finished_run / "last.pt", "--config", finished_run / "tracker.yaml"]
    words += [*SHORT_RUN[2:], "--epochs", "1", "--device", "cpu", "-o", tmp_path / "run"]
    assert main(["finetune", *map(str, words)]) == 0
    first = read_table(tmp_path / "run/validation.csv")[0]
    last = read_table(finished_run / "validation.csv")[-1]
    assert {metric.key: first[metric.key] for metric in ACCURACY} == {
        metric.key: last[metric.key] for metric in ACCURACY
    }


def test_a_network_trained_on_small_pictures_is_validated_and_written_at_another_size(
    disc_dataset, tiny_config, tmp_path
):
    words = ["--data", disc_dataset, "--config", tiny_config, *SHORT_RUN, "--epochs", "1", "--device", "cpu"]
    assert main(["finetune", *map(str, [*words, "--inference-size", "96", "-o", tmp_path / "run"])]) == 0
    assert OmegaConf.load(tmp_path / "run/tracker.yaml").model.image_size == 96
    config = OmegaConf.load(tmp_path / "run/training.yaml")
    assert config.trainer.model.image_size == config.scratch.resolution == 64


def test_all_sources_together_make_one_epoch(disc_dataset, tiny_config, tmp_path):
    """Labels of several objects, pseudo-labels with rejected frames, a target that leaves, and the phantom."""
    folder = tmp_path / "data"
    shutil.copytree(disc_dataset, folder)
    series, masks = disc_case(4, frames=7)
    case = write_case(folder, "M", CineSequence(series, (1.5, 1.0), 4.0, 1.5, "thorax"), masks)
    objects = masks.astype(np.uint8)
    objects[:4, 3:12, 40:50] = 2  # then it is gone
    write_objects(case / "targets/M_labels.mha", objects)
    (case / "targets/M_first_label.mha").unlink()  # not for validation
    write_case(folder, "U", CineSequence(series, (1.5, 1.0), 4.0, 1.5, "thorax"), None)
    write_objects(tmp_path / "pseudo/U/masks.mha", objects)
    (tmp_path / "pseudo/U/meta.json").write_text(json.dumps({"case_id": "U", "accepted_frames": [0, 1, 3, 4, 6]}))
    (tmp_path / "clips.json").write_text('{"size_px": [130, 130], "structures": 2}')
    words = ["--data", folder, "--pseudo-labels", tmp_path / "pseudo", "--config", tiny_config, *SHORT_RUN,
             *("--phantom-clips", "2", "--phantom-config", tmp_path / "clips.json", "--clip-frames", "4"),
             *("--epochs", "1", "--multiplier", "1", "--batch-clips", "2", "--device", "cpu"),
             *("-o", tmp_path / "run")]  # fmt: skip
    assert main(["finetune", *map(str, words)]) == 0
    config = OmegaConf.load(tmp_path / "run/training.yaml")
    assert len(config.trainer.validation.patients) == 1 and "M" not in config.trainer.validation.patients
    (row,) = read_table(tmp_path / "run/losses.csv")
    assert row["steps"] == "3"  # 2 labelled + M + U + 2 of the phantom, two at a time
    assert np.isfinite(float(row["loss"]))
    assert all(value.isfinite().all() for value in load(tmp_path / "run/last.pt")["model"].values())
