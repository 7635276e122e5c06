"""Weights that are no numbers are refused wherever weights are read, with the file and the first such tensor."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from cinetrack.bundle.finite_weights import check_weights, is_finite
from cinetrack.bundle.safe_weights import load_network, load_weights
from cinetrack.cli.main import main
from cinetrack.errors import BundleError

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
MINI = RESOURCES / "training" / "sam2-mini"
REFINER = RESOURCES / "training" / "refiner"
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn, torch.complex64]


def spoilt(weights: dict[str, torch.Tensor], name: str, value: float) -> dict[str, torch.Tensor]:
    """A copy with one number of one tensor replaced."""
    tensor = weights[name].clone()
    tensor.view(-1)[tensor.numel() // 2] = value
    return {**weights, name: tensor}


@pytest.fixture(scope="module")
def bad_tracker(tmp_path_factory) -> tuple[Path, str]:
    """The small SAM2 with an infinity in its sixth floating-point tensor, and that tensor's name."""
    weights = load_weights(MINI / "tracker.pt")["model"]
    name = [name for name, value in weights.items() if value.is_floating_point()][5]
    path = tmp_path_factory.mktemp("bad") / "bad.pt"
    torch.save({"model": spoilt(weights, name, float("inf"))}, path)
    return path, name


@pytest.fixture(scope="module")
def bad_refiner(tmp_path_factory) -> tuple[Path, str]:
    """The shipped refiner's folder with a NaN in one tensor, and that tensor's name."""
    folder = Path(shutil.copytree(REFINER, tmp_path_factory.mktemp("bad") / "nnunet"))
    path = folder / "fold_all" / "checkpoint_final.pth"
    content = load_weights(path)
    name = list(content["network_weights"])[7]
    torch.save({**content, "network_weights": spoilt(content["network_weights"], name, float("nan"))}, path)
    return folder, name


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_number_that_is_none_is_found_in_every_floating_type(dtype, value):
    good = torch.arange(-60, 60).to(dtype).reshape(3, 40)
    assert is_finite(good)
    if dtype == torch.float8_e4m3fn and value != value or dtype != torch.float8_e4m3fn:  # that type has no infinity
        bad = good.clone()
        bad[1, 7] = value
        assert not is_finite(bad)
        with pytest.raises(BundleError, match=r"w\.pt: expected finite weights, found (NaN|inf|-inf) in layer\.bias"):
            check_weights({"good": good, "layer.bias": bad, "further": bad}, Path("w.pt"))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_great_numbers_whose_sum_overflows_are_finite(dtype):
    assert is_finite(torch.full((4000,), torch.finfo(dtype).max, dtype=dtype))


def test_whole_numbers_truth_values_empty_tensors_and_other_values_are_left_alone():
    kinds = (torch.bool, torch.uint8, torch.int64)
    weights = {str(kind): torch.ones(3, dtype=kind) for kind in kinds}
    check_weights({**weights, "empty": torch.empty(0), "note": "nan", "number": float("nan")}, Path("w.pt"))


def test_a_tensor_that_unfolds_to_more_than_is_stored_is_refused():
    with pytest.raises(BundleError, match=r"stored whole, found wide of \(1000000, 1000000\) from 4 bytes"):
        check_weights({"wide": torch.zeros(1).expand(10**6, 10**6)}, Path("w.pt"))


@pytest.mark.parametrize("value", [torch.zeros(2, 2).to_sparse(), torch.zeros(2, device="meta")])
def test_tensors_without_plain_values_are_refused(value):
    with pytest.raises(BundleError, match="expected weights as plain tensors, found .* in odd"):
        check_weights({"odd": value}, Path("w.pt"))


def test_records_that_unfold_to_more_than_the_file_are_refused(tmp_path):
    path, packed = tmp_path / "w.pt", tmp_path / "packed.pt"
    torch.save({"model": {"w": torch.zeros(1_000_000)}}, path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for record in source.infolist():
            target.writestr(record.filename, source.read(record))
    assert load_network(path, "model")["w"].shape == (1_000_000,)
    with pytest.raises(BundleError, match=r"packed\.pt: expected a PyTorch checkpoint of uncompressed records"):
        load_weights(packed)


def test_no_bundle_is_made_of_a_tracker_that_is_not_finite(bad_tracker, tmp_path, capsys):
    path, name = bad_tracker
    words = ["--tracker", str(path), "--tracker-config", str(MINI / "tracker.yaml"), "-o", str(tmp_path / "new")]
    assert main(["bundle", "create", *words]) == 2
    assert capsys.readouterr().err == f"error: {path}: expected finite weights, found inf in {name}\n"
    assert not (tmp_path / "new").exists()


def test_no_bundle_is_made_of_a_refiner_that_is_not_finite(bad_refiner, tmp_path, capsys):
    folder, name = bad_refiner
    words = ["--tracker", "static", "--refiner", str(folder), "--folds", "all", "-o", str(tmp_path / "new")]
    assert main(["bundle", "create", *words]) == 2
    path = folder / "fold_all" / "checkpoint_final.pth"
    assert capsys.readouterr().err == f"error: {path}: expected finite weights, found NaN in {name}\n"
    assert not (tmp_path / "new").exists()


def test_a_bundle_made_before_weights_were_checked_is_refused_by_check_and_predict(
    bad_tracker, platform_input, tmp_path, capsys
):
    from cinetrack.bundle.checksum import sha256_of
    from cinetrack.bundle.manifest import Method, manifest_of
    from cinetrack.tracking.evidence.sam2 import Sam2Settings

    folder = tmp_path / "bundle"
    folder.mkdir()
    shutil.copyfile(bad_tracker[0], folder / "tracker.pt")
    shutil.copyfile(MINI / "tracker.yaml", folder / "tracker.yaml")
    sums = {name: sha256_of(folder / name) for name in ("tracker.pt", "tracker.yaml")}
    (folder / "bundle.json").write_text(manifest_of("old", Method((Sam2Settings("tracker.yaml", "tracker.pt"),)), sums))
    commands = (
        ["bundle", "check", folder],
        ["predict", platform_input, "-o", tmp_path / "masks", "--model", folder, "--device", "cpu"],
    )
    for words in commands:
        assert main([*map(str, words)]) == 2
        assert (
            f"{folder / 'tracker.pt'}: expected finite weights, found inf in {bad_tracker[1]}"
            in capsys.readouterr().err
        )
    assert not list((tmp_path / "masks").rglob("output.mha"))


def test_an_average_and_a_fine_tuning_do_not_begin_with_such_weights(bad_tracker, tmp_path, capsys):
    path, name = bad_tracker
    good = MINI / "tracker.pt"
    assert main(["average", str(good), str(path), "-o", str(tmp_path / "mean.pt")]) == 2
    assert f"{path}: expected finite weights, found inf in {name}" in capsys.readouterr().err
    start = ["--init", str(path), "--config", str(MINI / "tracker.yaml"), "--phantom-clips", "1"]
    assert main(["finetune", *start, "-o", str(tmp_path / "run"), "--device", "cpu", "--workers", "0"]) == 2
    assert f"{path}: expected finite weights, found inf in {name}" in capsys.readouterr().err
    assert not (tmp_path / "mean.pt").exists() and not (tmp_path / "run").exists()


def test_an_average_that_leaves_the_number_types_range_is_not_written(tmp_path, capsys):
    for name, value in (("a", 6e4), ("b", -6e4)):
        torch.save({"model": {"w": torch.full((2,), value, dtype=torch.float16)}}, tmp_path / f"{name}.pt")
    sources = [str(tmp_path / "a.pt"), str(tmp_path / "b.pt")]
    assert main(["average", *sources, "--shares", "3", "-1", "-o", str(tmp_path / "mean.pt")]) == 2
    assert "mean.pt: expected finite weights, found inf in w" in capsys.readouterr().err
    assert not (tmp_path / "mean.pt").exists()
