"""What cannot be trained on or started from is said in one line, with exit code 2, before any training."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from tiny import REPOSITORY, disc_case, write_disc_dataset, write_objects, write_tiny_config
from training.model.sam2 import SAM2Train

from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.finetuning.packages import PACKAGES, check_packages
from cinetrack.finetuning.phantom_settings import phantom_source
from cinetrack.finetuning.recipe import PhantomSource, Recipe
from cinetrack.finetuning.starting_point import starting_point
from cinetrack.phantom.clips import ClipConfig
from cinetrack.sequence import CineSequence
from cinetrack.sequence.trackrad_dataset import write_case


@pytest.fixture
def refused(tiny_config, tmp_path, capsys):
    """Runs the command on words that it must refuse; returns its line on stderr."""

    def run(*words: object, data=None, init="scratch", config=tiny_config) -> str:
        all_words = [] if data is None else ["--data", data]
        all_words += ["--init", init, "-o", tmp_path / "run", "--device", "cpu", "--workers", "0", "--epochs", "1"]
        all_words += [] if config is None else ["--config", config]
        all_words += ["--clip-frames", "3", *words]
        assert main(["finetune", *map(str, all_words)]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert not list((tmp_path / "run").glob("*.pt")) and not (tmp_path / "run/losses.csv").exists()
        (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
        assert "Traceback" not in captured.err
        return line

    return run


@pytest.fixture
def discs(tmp_path):
    return write_disc_dataset(tmp_path / "data", 2)


# The data


def test_no_source_of_clips(refused):
    assert "expected --data with a dataset, or --phantom-clips, found neither" in refused()


def test_a_folder_that_is_no_dataset(refused, tmp_path):
    assert "nowhere: expected a TrackRAD2025 dataset" in refused(data=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "empty: expected patient folders" in refused(data=tmp_path / "empty")


def test_no_labelled_case(refused, tmp_path):
    series = CineSequence(disc_case(0)[0], (1, 1), 4.0, 0.35, "thorax")
    write_case(tmp_path / "data", "U", series, None)
    assert "data: expected a case with labels of every frame, or pseudo-labels, found none" in refused(
        data=tmp_path / "data"
    )


@pytest.mark.parametrize("shape", [(6, 56, 72), (5, 72, 56)])
def test_labels_of_another_shape(shape, refused, discs):
    write_objects(discs / "D_000/targets/D_000_labels.mha", np.ones(shape))
    line = refused("--val-share", "0", data=discs)
    assert f"D_000_labels.mha: expected masks of the (6, 72, 56) frames of D_000_frames.mha, found {shape}" in line


def test_labels_of_another_shape_in_a_case_to_validate_with(refused, discs, tmp_path):
    held = write_disc_dataset(tmp_path / "held", 1, first=5)
    write_objects(held / "D_005/targets/D_005_labels.mha", np.ones((5, 72, 56)))
    line = refused("--val-data", held, data=discs)
    assert "D_005_labels.mha: expected masks of the (6, 72, 56) frames of D_005_frames.mha, found (5, 72, 56)" in line


def test_a_case_to_validate_with_that_cannot_be_scored(refused, discs, tmp_path):
    held = write_disc_dataset(tmp_path / "held", 1, first=5)
    objects = np.zeros((6, 72, 56))
    objects[0, 20:30, 20:30] = 1
    write_objects(held / "D_005/targets/D_005_labels.mha", objects)
    assert "D_005_labels.mha: expected a true mask on two frames or more" in refused("--val-data", held, data=discs)
    (held / "D_005/frame-rate.json").unlink()
    assert "frame-rate.json" in refused("--val-data", held, data=discs)


def test_a_case_to_validate_with_twice(refused, discs, tmp_path):
    held = write_disc_dataset(tmp_path / "held", 1, first=5)
    line = refused("--val-data", held, "--val-data", held, data=discs)
    assert "expected each case once, found D_005" in line


def test_validation_that_leaves_nobody_to_train_on(refused, discs):
    assert "expected patients to train on that are not for validation" in refused("--val-data", discs, data=discs)


def test_a_clip_longer_than_every_case(refused, discs):
    line = refused("--clip-frames", "7", data=discs)
    assert "expected a case with a clip of 7 accepted frames that begins with an object to train on" in line
    assert "scratch" not in line
    line = refused("--set", "scratch.num_frames=7", data=discs)
    assert "expected a case with a clip of 7 accepted frames" in line


def test_labels_without_any_object_are_left_out_and_refused_where_there_are_no_others(refused, discs, capsys):
    for patient in ("D_000", "D_001"):
        write_objects(discs / patient / f"targets/{patient}_labels.mha", np.zeros((6, 72, 56)))
    assert "found none in 2 cases" in refused("--val-share", "0", data=discs)


def test_a_clip_whose_frames_are_all_prompted_teaches_nothing(refused, discs):
    line = refused("--clip-frames", "2", data=discs)
    assert "--clip-frames: expected more than the 2 frames of a clip that may be prompted" in line


def test_a_batch_larger_than_an_epoch(refused, discs):
    line = refused("--batch-clips", "3", data=discs)
    assert "--batch-clips: expected at most the 2 clips of a process an epoch, found 3" in line


@pytest.mark.parametrize(
    "meta, message",
    [
        ({"case_id": "X", "accepted_frames": [0]}, "meta.json: expected the series X in one of the datasets"),
        ({"case_id": "U", "accepted_frames": [99]}, "masks.mha: expected accepted frames among 6, found 99"),
        ({"case_id": "U", "accepted_frames": [-1]}, "meta.json: expected case_id and accepted_frames"),
        ({"case_id": "U", "accepted_frames": [True]}, "meta.json: expected case_id and accepted_frames"),
        ({"case_id": "U"}, "meta.json: expected case_id and accepted_frames"),
        ([], "meta.json: expected case_id and accepted_frames"),
    ],
)
def test_pseudo_labels_that_are_none(meta, message, refused, discs, tmp_path):
    series = CineSequence(disc_case(0)[0], (1, 1), 4.0, 0.35, "thorax")
    write_case(discs, "U", series, None)
    write_objects(tmp_path / "pseudo/U/masks.mha", np.ones((6, 72, 56)))
    (tmp_path / "pseudo/U/meta.json").write_text(json.dumps(meta))
    assert message in refused("--pseudo-labels", tmp_path / "pseudo", "--val-share", "0", data=discs)


def test_pseudo_labels_without_their_series(refused, tmp_path):
    line = refused("--pseudo-labels", tmp_path, "--phantom-clips", "1")
    assert "--pseudo-labels: expected --data with the series that they are of" in line


def test_a_run_that_is_a_file(refused, discs, tmp_path):
    (tmp_path / "run").write_text("mine")
    assert "run: expected a folder for the run, found a file" in refused(data=discs)
    assert (tmp_path / "run").read_text() == "mine"


# Where training starts


def test_a_start_that_is_missing(refused, discs, tmp_path):
    line = refused(data=discs, init=tmp_path / "no.pt")
    assert 'no.pt: expected a SAM2 checkpoint, a bundle\'s folder or "scratch", found none' in line


def test_a_bundle_without_sam2(refused, discs):
    line = refused(data=discs, init=REPOSITORY / "resources/registration", config=None)
    assert "registration: expected a bundle with a SAM2 tracker, found registration" in line


def test_a_folder_that_is_no_bundle(refused, discs):
    assert "bundle.json" in refused(data=discs, init=discs)


def test_a_checkpoint_of_another_architecture_names_tensors_and_shapes(refused, discs, tmp_path):
    other = write_tiny_config(tmp_path / "other.yaml")
    other.write_text(other.read_text().replace("num_maskmem: 3", "num_maskmem: 5"))
    torch.save({"model": starting_point("scratch", str(other), 1).weights}, tmp_path / "other.pt")
    line = refused(data=discs, init=tmp_path / "other.pt")
    assert "other.pt: expected weights of the configured SAM2" in line
    assert "maskmem_tpos_enc (5, 1, 1, 16) instead of (3, 1, 1, 16)" in line
    line = refused(data=discs, init=tmp_path / "other.pt", config="tiny")
    assert "without" in line and "more" in line and "maskmem_tpos_enc (5, 1, 1, 16) instead of (7, 1, 1, 64)" in line


def test_a_checkpoint_without_weights(refused, discs, tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "other.pt")
    assert 'other.pt: expected SAM2 weights under the key "model"' in refused(data=discs, init=tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("no checkpoint")
    assert "text.pt: expected a PyTorch checkpoint" in refused(data=discs, init=tmp_path / "text.pt")


def test_a_checkpoint_whose_name_says_nothing_of_its_architecture(refused, discs, tmp_path):
    torch.save({"model": {}}, tmp_path / "mine.pt")
    line = refused(data=discs, init=tmp_path / "mine.pt", config=None)
    assert "mine.pt: expected --config with a checkpoint of this name" in line


def test_scratch_without_an_architecture(refused, discs):
    assert "--config: expected an architecture to train from scratch" in refused(data=discs, config=None)


@pytest.mark.parametrize("name", ["medium", "no.yaml"])
def test_an_architecture_that_is_unknown(name, refused, discs):
    assert f"{name}: expected one of tiny, small, base+, large, or a yaml" in refused(data=discs, config=name)


@pytest.mark.parametrize("text", ["model: [", "other: 1", "model: {_target_: os.system}", "model: 3", "", "a: {{"])
def test_a_yaml_that_is_no_architecture(text, refused, discs, tmp_path):
    (tmp_path / "odd.yaml").write_text(text)
    assert "odd.yaml: expected" in refused(data=discs, config=tmp_path / "odd.yaml")


# Settings


@pytest.mark.parametrize(
    "words, message",
    [
        (("--set", "scratch.no_such_key=1"), "--set scratch.no_such_key=1: expected a key"),
        (("--set", "scratch.resolution=128"), "expected the pictures' size to be set with --image-size"),
        (("--set", "trainer.model.image_size=128"), "expected the pictures' size to be set with --image-size"),
        (("--image-size", "80"), "image size: expected a multiple of 32 for this network, found 80"),
        (("--inference-size", "112"), "image size: expected a multiple of 32 for this network, found 112"),
        (("--image-size", "32"), "image size: expected 64 or more"),
        (("--inference-region", "20"), "region: expected a side of 64 px or more, found 20"),
        (("--val-share", "1"), "validation share: expected"),
        (("--phantom-config", "x.json"), "expected --phantom-clips with it"),
        (("--device", "cuda"), "--device cuda: expected a CUDA device, found none"),
    ],
)
def test_a_setting_that_cannot_be(words, message, refused, discs, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert message in refused(*words, data=discs)


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 0},
        {"max_objects": 0},
        {"batch_clips": -1},
        {"accumulate": 0},
        {"multiplier": 0},
        {"validate_every": 0},
        {"clip_frames": 1},
        {"workers": -1},
        {"image_encoder_lr": 0.0},
        {"other_lr": float("nan")},
        {"layer_decay": -0.5},
        {"final_lr_share": 1.5},
        {"warmup_share": 1.0},
        {"precision": "int8"},
        {"image_size_px": 63},
        {"inference_size_px": 0},
        {"seed": -1},
    ],
)
def test_a_recipe_holds_its_settings_to_their_range(settings):
    with pytest.raises(InputError, match="expected .*, found"):
        Recipe(**settings)


@pytest.mark.parametrize(
    "settings, named",
    [
        ([1], "expected an object with some of"),
        ({"size": [130, 140]}, "expected an object with some of"),
        ({"displacement_px": 5}, "displacement_px: expected tuple[float, float], found 5"),
        ({"displacement_px": [1, 2, 3]}, "displacement_px: expected"),
        ({"displacement_px": ["a", 2]}, "displacement_px: expected"),
        ({"displacement_px": [5, 2]}, "clip displacement: expected a range"),
        ({"still_share": "0.1"}, 'still_share: expected float, found "0.1"'),
        ({"still_share": True}, "still_share: expected float"),
        ({"still_share": float("nan")}, "still_share: expected float"),
        ({"still_share": 2}, "clips: expected a share"),
        ({"structures": 1.5}, "structures: expected int"),
        ({"structures": 0}, "clips: expected a share and one structure or more"),
        ({"visible_on_all_frames": 1}, "visible_on_all_frames: expected bool"),
        ({"region": 3}, "region: expected str | None"),
        ({"region": "leg"}, "phantom region: expected one of"),
        ({"difficulty": "extreme"}, "phantom difficulty: expected one of"),
        ({"field_strength_t": 3.0}, "phantom field strength: expected one of"),
        ({"randomised_share": 1.2}, "phantom randomised share: expected 0 to 1"),
        ({"size_px": 256}, "size_px: expected tuple[int, int], found 256"),
        ({"size_px": [256.0, 256]}, "size_px: expected"),
        ({"size_px": [100, 256]}, "expected a range of sizes within 125 to 400 px"),
        ({"size_px": [256, 130]}, "expected a range of sizes within 125 to 400 px"),
    ],
)
def test_nonsense_for_the_phantom_names_the_setting(settings, named, tmp_path):
    path = tmp_path / "clips.json"
    path.write_text(json.dumps(settings))
    with pytest.raises(InputError) as error:
        phantom_source(1, path)
    assert str(error.value).startswith(str(path)) and named in str(error.value)


def test_the_phantoms_file_must_be_json_and_its_clips_a_number(refused, tmp_path):
    (tmp_path / "clips.json").write_text("{")
    assert "clips.json: expected json" in refused("--phantom-clips", "1", "--phantom-config", tmp_path / "clips.json")
    assert "phantom clips: expected 1 or more" in refused("--phantom-clips", "-3")


def test_the_shipped_settings_of_the_phantom_are_understood():
    source = phantom_source(7, REPOSITORY / "resources/training/clips.json")
    settings = json.loads((REPOSITORY / "resources/training/clips.json").read_text())
    assert source.clips == 7 and list(source.size_px) == settings.pop("size_px")
    for key, value in settings.items():
        assert getattr(source.config, key) == (tuple(value) if isinstance(value, list) else value)
    assert phantom_source(2, None) == PhantomSource(2, (256, 256), ClipConfig()) and phantom_source(0, None) is None


# While training


def run_out_for_real(*_):
    torch.empty(2**50)


def run_out_in_python(*_):
    raise MemoryError


@pytest.mark.parametrize("run_out", [run_out_for_real, run_out_in_python])
def test_memory_that_runs_out_names_the_settings_to_lower(run_out, refused, discs, monkeypatch):
    monkeypatch.setattr(SAM2Train, "forward", run_out)
    line = refused("--max-objects", "2", "--val-share", "0", data=discs)
    for named in ("--batch-clips (found 1; --accumulate", "--max-objects (found 2)", "--clip-frames (found 3)"):
        assert named in line
    assert "--image-size (found 64)" in line


def test_a_killed_worker_names_the_settings_to_lower(refused, discs, monkeypatch):
    import os
    import signal

    from cinetrack.finetuning.videos import CaseVideos

    parent = os.getpid()

    def die(*_):
        assert os.getpid() != parent
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(CaseVideos, "get_video", die)
    line = refused("--workers", "1", "--val-share", "0", data=discs)
    assert "a process that prepares clips was killed" in line and "--workers (found 1)" in line


def test_other_failures_are_not_called_a_lack_of_memory(discs, tiny_config, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise RuntimeError("sizes of tensors must match")

    monkeypatch.setattr(SAM2Train, "forward", fail)
    words = ["--data", discs, "--init", "scratch", "--config", tiny_config, "-o", tmp_path / "run", "--device", "cpu",
             *("--workers", "0", "--clip-frames", "3", "--val-share", "0")]  # fmt: skip
    assert main(["finetune", *map(str, words)]) == 1
    assert "sizes of tensors must match" in capsys.readouterr().err


# The packages


def in_an_environment_without(packages, *words):
    """`cinetrack` in a process that cannot import some packages."""
    code = f"""
import importlib.abc, sys
class Without(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {set(packages)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Without())
import importlib.util
found = importlib.util.find_spec
def find_spec(name, package=None):
    try:
        return found(name, package)
    except ModuleNotFoundError:
        return None
importlib.util.find_spec = find_spec
from cinetrack.cli.main import main
sys.exit(main({[str(word) for word in words]!r}))
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)


def test_without_the_extra_the_command_says_what_to_install(tmp_path, tiny_config):
    words = ["finetune", "--phantom-clips", "1", "--init", "scratch", "--config", tiny_config, "-o", tmp_path / "run"]
    done = in_an_environment_without(["tensordict", "fvcore"], *words)
    assert done.returncode == 2, done.stderr
    assert "pip install cinetrack[train]" in done.stderr and "found no tensordict, fvcore" in done.stderr
    assert in_an_environment_without(PACKAGES, "finetune", "--help").returncode == 0


def test_prediction_needs_none_of_the_extra(discs, tmp_path):
    words = [discs / "D_000", "-o", tmp_path / "masks", "--device", "cpu", "--model", REPOSITORY / "resources/default"]
    done = in_an_environment_without([*PACKAGES, "training"], "predict", *words)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "masks").rglob("output.mha"))


def test_the_packages_are_those_that_the_extra_names():
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    train = {text.split(">")[0].split("=")[0].split("<")[0] for text in project["optional-dependencies"]["train"]}
    assert train == set(PACKAGES)
    assert not any(name in " ".join(project["dependencies"]) for name in PACKAGES)
    check_packages()
