"""A step of ours is SAM2's own arithmetic: compared with one written out by hand around SAM2Train and its loss."""

from __future__ import annotations

import csv

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tiny import MASK_PROMPTS, assert_equal_states, load, write_disc_dataset, write_tiny_config
from training.optimizer import construct_optimizer
from training.trainer import CORE_LOSS_KEY
from training.utils.distributed import is_dist_avail_and_initialized

from cinetrack.cli.main import main
from cinetrack.finetuning.starting_point import starting_point


@pytest.fixture(scope="module")
def still_config(tmp_path_factory):
    """Without dropout, so that nothing is drawn during a step."""
    return write_tiny_config(tmp_path_factory.mktemp("still") / "still.yaml", dropout=0.0)


def trained(tmp_path, config, cases, *words):
    folder = write_disc_dataset(tmp_path / "data", cases)
    words = ["--data", str(folder), "--init", "scratch", "--config", str(config), "-o", str(tmp_path / "run"),
             *("--clip-frames", "3", "--epochs", "1", "--val-share", "0", "--workers", "0", "--multiplier", "1"),
             *("--device", "cpu", "--precision", "float32", *MASK_PROMPTS, *words)]  # fmt: skip
    assert main(["finetune", *words]) == 0
    with (tmp_path / "run/losses.csv").open() as file:
        (row,) = csv.DictReader(file)
    return load(tmp_path / "run/last.pt"), row, OmegaConf.load(tmp_path / "run/training.yaml")


def step_by_hand(config):
    """One optimiser step on the mean loss of the first epoch's batches; returns weights, optimiser and losses."""
    assert not is_dist_avail_and_initialized()
    network = instantiate(config.trainer.model, _convert_="all")
    start = starting_point(config.trainer.start.init, config.trainer.start.config, config.trainer.seed_value)
    network.load_state_dict(start.weights)
    loss_of = instantiate(config.trainer.loss["all"], _convert_="all")
    optim = config.trainer.optim
    optimiser = construct_optimizer(network, optim.optimizer, optim.options, optim.param_group_modifiers)
    # one process after another, as DistributedSampler gives them to a single process
    sources = instantiate(config.trainer.data.train.datasets[0], _convert_="all")
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(sources), generator=generator).tolist()
    collate = instantiate(config.trainer.data.train.collate_fn)
    network.train()
    optimiser.zero_grad(set_to_none=True)
    losses = []
    for index in order:
        batch = collate([sources[index]])
        parts = loss_of(network(batch), batch.masks)
        assert set(parts) == {"loss_mask", "loss_dice", "loss_iou", "loss_class", CORE_LOSS_KEY}
        expected = 20 * parts["loss_mask"] + parts["loss_dice"] + parts["loss_iou"] + parts["loss_class"]
        torch.testing.assert_close(parts[CORE_LOSS_KEY], expected)
        losses.append(parts)
    torch.stack([parts[CORE_LOSS_KEY] for parts in losses]).mean().backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 0.1)
    optimiser.step_schedulers(0.0, 0)
    optimiser.optimizer.step()
    return network.state_dict(), optimiser.optimizer.state_dict(), losses


@pytest.fixture(scope="module")
def one_step(still_config, tmp_path_factory):
    return trained(tmp_path_factory.mktemp("one_step"), still_config, 1)


def test_one_step_is_the_step_written_out_by_hand(one_step, still_config):
    checkpoint, row, config = one_step
    weights, optimiser, (losses,) = step_by_hand(config)
    assert float(row["loss"]) == pytest.approx(losses[CORE_LOSS_KEY].item(), rel=1e-5)
    for name in ("loss_mask", "loss_dice", "loss_iou", "loss_class"):
        assert float(row[name]) == pytest.approx(losses[name].item(), rel=1e-5)
    assert_equal_states(checkpoint["model"], weights)
    assert_equal_states(checkpoint["optimizer"]["state"], optimiser["state"])
    untouched = starting_point("scratch", str(still_config), 123).weights
    changed = [name for name in weights if not torch.equal(weights[name], untouched[name])]
    assert len(changed) > 0.8 * len(list(weights))


def test_two_accumulated_batches_are_one_step_with_the_mean_of_their_losses(still_config, tmp_path):
    checkpoint, row, config = trained(tmp_path, still_config, 2, "--accumulate", "2")
    weights, optimiser, losses = step_by_hand(config)
    assert len(losses) == 2 and losses[0][CORE_LOSS_KEY] != losses[1][CORE_LOSS_KEY]
    mean = sum(parts[CORE_LOSS_KEY].item() for parts in losses) / 2
    assert float(row["loss"]) == pytest.approx(mean, rel=1e-5)
    steps = {int(state["step"]) for state in checkpoint["optimizer"]["state"].values()}
    assert steps == {1}
    # Gradients are summed in another order than by hand.
    for name, value in weights.items():
        torch.testing.assert_close(checkpoint["model"][name], value, rtol=1e-5, atol=1e-7)
    for key, state in optimiser["state"].items():
        found = checkpoint["optimizer"]["state"][key]
        torch.testing.assert_close(found["exp_avg"], state["exp_avg"], rtol=1e-3, atol=1e-8)


def test_the_last_step_of_an_epoch_takes_the_batches_that_are_left(still_config, tmp_path):
    checkpoint, row, _ = trained(tmp_path, still_config, 3, "--accumulate", "2")
    assert {int(state["step"]) for state in checkpoint["optimizer"]["state"].values()} == {2}
    assert row["steps"] == "3"


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains_close_to_float32(precision, one_step, still_config, tmp_path):
    _, plain, _ = one_step
    checkpoint, mixed, _ = trained(tmp_path, still_config, 1, "--precision", precision)
    assert mixed["loss"] != plain["loss"]
    assert float(mixed["loss"]) == pytest.approx(float(plain["loss"]), rel=0.1)
    assert all(value.dtype == torch.float32 for value in checkpoint["model"].values())
    # Only float16 is short of exponents; its scale starts at 65536 and is halved where a gradient overflows.
    scaler = checkpoint["scaler"]
    assert scaler["scale"] in (65536.0, 32768.0) if precision == "float16" else scaler == {}


def test_a_single_frame_teaches_boxes_and_points_and_leaves_the_memory_alone(still_config, tmp_path):
    """However the masks' prompts are set: SAM2's own rule for pictures."""
    checkpoint, row, _ = trained(tmp_path, still_config, 1, "--clip-frames", "1")
    assert float(row["loss_dice"]) > 0
    untouched = starting_point("scratch", str(still_config), 123).weights
    changed = {name.split(".")[0] for name, value in checkpoint["model"].items() if (value != untouched[name]).any()}
    assert {"sam_prompt_encoder", "sam_mask_decoder", "image_encoder"} <= changed
    assert not {"memory_attention", "memory_encoder"} & changed


def test_an_image_encoder_with_a_rate_of_0_stays_as_it_is_and_all_else_learns(still_config, tmp_path):
    checkpoint, _, _ = trained(tmp_path, still_config, 1, "--image-encoder-lr", "0")
    untouched = starting_point("scratch", str(still_config), 123).weights
    changed = {name.split(".")[0] for name, value in checkpoint["model"].items() if (value != untouched[name]).any()}
    assert "image_encoder" not in changed
    assert {"memory_attention", "memory_encoder", "sam_mask_decoder"} <= changed
