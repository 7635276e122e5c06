"""Weights before training: from scratch, and of mask tokens that the starting weights never used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tiny import REPOSITORY, assert_equal_states, disc_case

from cinetrack.cli.main import main
from cinetrack.finetuning.initial_weights import TOKEN_NOISE, untrained_weights
from cinetrack.finetuning.starting_point import starting_point
from cinetrack.sequence.intensity import min_max_8bit
from cinetrack.tracking import Chain
from cinetrack.tracking.evidence.sam2.architecture import build_network
from cinetrack.tracking.evidence.sam2.source import Sam2Source

SAM2_MINI = REPOSITORY / "resources/training/sam2-mini"
MULTIMASK = REPOSITORY / "resources/training/tracker.yaml"


@pytest.fixture(scope="module")
def single_mask_bundle(tmp_path_factory) -> Path:
    """The shipped network as if it had been trained without multimask output: its further tokens are untrained."""
    folder = tmp_path_factory.mktemp("single")
    document = OmegaConf.load(MULTIMASK)
    document.model.update({"multimask_output_in_sam": False, "multimask_output_for_tracking": False})
    OmegaConf.save(document, folder / "single.yaml")
    weights = starting_point(str(SAM2_MINI), None, 1).weights
    untrained = untrained_weights("single.yaml", folder, 7)
    for name, value in weights.items():
        if any(f"output_hypernetworks_mlps.{index}." in name for index in (1, 2, 3)):
            weights[name] = untrained[name]
        if name.endswith("mask_tokens.weight"):
            weights[name] = torch.cat([value[:1], untrained[name][1:]])
    torch.save({"model": weights}, folder / "single.pt")
    return bundle_of(folder / "single.pt", folder / "single.yaml", folder / "bundle")


def bundle_of(checkpoint: Path, config: Path, folder: Path) -> Path:
    words = ["--tracker", checkpoint, "--tracker-config", config, "-o", folder]
    assert main(["bundle", "create", *map(str, words)]) == 0
    return folder


def tracked(config, folder, weights, frames, mask):
    network = build_network(config, folder)
    network.load_state_dict(weights)
    session = Chain("sam2", (Sam2Source(network, torch.device("cpu")),)).start(frames[0], mask)
    return np.stack([session.step(frame).mask for frame in frames[1:]])


def test_multimask_output_starts_from_what_the_single_mask_has_learnt(single_mask_bundle):
    bundle = single_mask_bundle
    series, masks = disc_case(0)
    # the middle third of 128 x 128 px, as large as the network's training saw
    frames = np.stack([min_max_8bit(np.pad(frame, ((28, 28), (36, 36)), mode="edge")) for frame in series])
    first = np.pad(masks[0], ((28, 28), (36, 36)))
    own = starting_point(str(bundle), None, 1).weights
    taught = starting_point(str(bundle), str(MULTIMASK), 1).weights
    single = tracked("tracker.yaml", bundle, own, frames, first)
    multi = tracked(MULTIMASK.name, MULTIMASK.parent, taught, frames, first)
    untaught = tracked(MULTIMASK.name, MULTIMASK.parent, own, frames, first)

    def dice(found):
        return 2 * (found & single).sum() / (found.sum() + single.sum())

    assert single.any(axis=(1, 2)).all()
    assert dice(multi) > 0.97
    assert dice(untaught) < dice(multi) - 0.1


def test_only_the_multimask_tokens_and_their_heads_are_changed(single_mask_bundle):
    bundle = single_mask_bundle
    own = starting_point(str(bundle), None, 1).weights
    taught = starting_point(str(bundle), str(MULTIMASK), 1).weights
    changed = {name for name in own if not torch.equal(own[name].float(), taught[name].float())}
    heads = ("output_hypernetworks_mlps.1", "output_hypernetworks_mlps.2", "output_hypernetworks_mlps.3")
    allowed = ("mask_tokens.weight", *heads, "iou_prediction_head.layers")
    assert changed and all(any(part in name for part in allowed) for name in changed)
    tokens = taught["sam_mask_decoder.mask_tokens.weight"]
    assert torch.equal(tokens[0].float(), own["sam_mask_decoder.mask_tokens.weight"][0].float())
    ratio = (tokens[1:] / tokens[0] - 1).float()
    assert 0 < ratio.abs().mean() < 2 * TOKEN_NOISE
    assert not torch.equal(tokens[1], tokens[2])
    again = starting_point(str(bundle), str(MULTIMASK), 1).weights
    assert_equal_states(again, taught)


def test_weights_trained_with_multimask_output_are_left_alone(single_mask_bundle, tmp_path):
    weights = starting_point(str(single_mask_bundle), None, 1).weights
    torch.save({"model": weights}, tmp_path / "other.pt")
    multimask = bundle_of(tmp_path / "other.pt", MULTIMASK, tmp_path / "multi")
    assert_equal_states(starting_point(str(multimask), None, 1).weights, weights)
    assert_equal_states(starting_point(str(multimask), str(MULTIMASK), 1).weights, weights)
    # nor is a single-mask network taught what it does not use
    own_config = str(single_mask_bundle / "tracker.yaml")
    assert_equal_states(starting_point(str(single_mask_bundle), own_config, 1).weights, weights)


def test_weights_from_scratch_follow_the_seed_and_leave_the_global_generator(tiny_config):
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    first = untrained_weights(tiny_config.name, tiny_config.parent, 1)
    assert torch.rand(1) == expected
    assert_equal_states(untrained_weights(tiny_config.name, tiny_config.parent, 1), first)
    other = untrained_weights(tiny_config.name, tiny_config.parent, 2)
    assert any(not torch.equal(other[name], first[name]) for name in first)
    assert all(value.isfinite().all() for value in first.values())
