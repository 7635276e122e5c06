"""`cinetrack average`: one checkpoint of the weighted mean of several."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny import REPOSITORY, write_tiny_config

from cinetrack.cli.main import main
from cinetrack.finetuning.initial_weights import untrained_weights
from cinetrack.tracking.evidence.sam2.architecture import read_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """tiny.yaml, and three checkpoints of its architecture: a.pt, b.pt, c.pt."""
    folder = tmp_path_factory.mktemp("weights")
    write_tiny_config(folder / "tiny.yaml")
    for seed, name in enumerate("abc"):
        torch.save({"model": untrained_weights("tiny.yaml", folder, seed)}, folder / f"{name}.pt")
    return folder


def average(folder: Path, names: str, *options: str) -> tuple[int, Path]:
    output = folder / "averaged" / f"{names}.pt"
    output.unlink(missing_ok=True)
    return main(["average", *(str(folder / f"{name}.pt") for name in names), *options, "-o", str(output)]), output


def test_every_tensor_is_the_weighted_mean(folder):
    code, output = average(folder, "abc", "--shares", "1", "2", "5")
    assert code == 0
    a, b, c = (read_weights(folder / f"{name}.pt") for name in "abc")
    mean = read_weights(output)
    assert mean.keys() == a.keys()
    for name, value in mean.items():
        torch.testing.assert_close(value, (a[name] + 2 * b[name] + 5 * c[name]) / 8, rtol=1e-5, atol=1e-7)
        assert value.dtype == a[name].dtype


def test_shares_are_equal_unless_given(folder):
    _, given = average(folder, "ab", "--shares", "0.5", "0.5")
    given = given.rename(folder / "given.pt")
    _, output = average(folder, "ab")
    expected = read_weights(given)
    for name, value in read_weights(output).items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=0)


def test_the_mean_of_a_checkpoint_with_itself_is_itself(folder):
    _, output = average(folder, "aaa", "--shares", "0.1", "0.2", "0.7")
    expected = read_weights(folder / "a.pt")
    for name, value in read_weights(output).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=0)


def test_the_mean_drops_into_a_bundle_and_is_averaged_from_there(folder, tmp_path):
    _, output = average(folder, "ac")
    create = ["bundle", "create", "--tracker", str(output), "--tracker-config", str(folder / "tiny.yaml")]
    assert main([*create, "-o", str(tmp_path / "bundle")]) == 0
    assert main(["average", str(tmp_path / "bundle"), str(folder / "a.pt"), "-o", str(tmp_path / "again.pt")]) == 0


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        ("a", (), "two or more checkpoints to average, found 1"),
        ("ab", ("--shares", "1"), "--shares: expected 2 numbers"),
        ("ab", ("--shares", "1", "-1"), "sum above 0, found 1.0, -1.0"),
        ("ab", ("--shares", "1", "nan"), "finite numbers"),
        ("ax", (), "x.pt: expected a PyTorch checkpoint, found no such file"),
    ],
)
def test_what_cannot_be_averaged_is_refused(folder, capsys, names, options, message):
    code, output = average(folder, names, *options)
    assert code == 2 and message in capsys.readouterr().err and not output.exists()


def test_checkpoints_of_other_architectures_are_refused_by_their_first_tensors(folder, tmp_path, capsys):
    output = tmp_path / "averaged.pt"
    assert main(["average", str(folder / "a.pt"), str(REPOSITORY / "resources/default"), "-o", str(output)]) == 2
    message = capsys.readouterr().err
    assert (
        "tracker.pt: expected the tensors of" in message
        and "of other shapes: " in message
        and " instead of " in message
    )
    assert main(["average", str(folder / "a.pt"), str(REPOSITORY / "resources/static"), "-o", str(output)]) == 2
    assert "expected a bundle with a SAM2 tracker, found static" in capsys.readouterr().err
    assert not output.exists()
