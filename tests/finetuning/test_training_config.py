"""The configuration handed to SAM2's trainer is its own MOSE fine-tune file but for what is listed here."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from training.optimizer import construct_optimizer

from cinetrack.errors import InputError
from cinetrack.finetuning.recipe import PhantomSource, Recipe, TrainingData
from cinetrack.finetuning.splits import PatientSplit
from cinetrack.finetuning.starting_point import CONFIG_NAMES
from cinetrack.finetuning.training_config import MOSE, check_image_size, mose_recipe, training_config, training_model
from cinetrack.tracking.evidence.sam2.architecture import read_architecture

RUN = Path("run")
SPLIT = PatientSplit(("A",), ("B",), (Path("cases"),))
RECIPE = Recipe()
DATA = TrainingData((Path("cases"),), phantom=PhantomSource(3))


def built(recipe=RECIPE, name="base+", device="cuda", overrides=(), data=DATA):
    config = CONFIG_NAMES[name]
    model = training_model(read_architecture(config, Path()), True, recipe.image_size_px)
    start = {"init": "x.pt", "config": name}
    return training_config(model, recipe, data, SPLIT, start, (config, str(RUN)), RUN, device, overrides)


def leaves(node, prefix=""):
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else None
    if pairs is None:
        return {prefix: node}
    return {key: leaf for name, child in pairs for key, leaf in leaves(child, f"{prefix}.{name}".lstrip(".")).items()}


def as_close(value):
    return pytest.approx(value) if isinstance(value, float) else value


def plain(config):
    return OmegaConf.to_container(config, resolve=True)


def stock():
    config = mose_recipe()
    config.launcher.experiment_log_dir = str(RUN)
    return plain(config)


CHOSEN = {  # the paper's rates; the MOSE file has them the other way round
    "scratch.base_lr": (3.0e-6, 5.0e-6),
    "scratch.vision_lr": (5.0e-6, 3.0e-6),
    "trainer.optim.options.lr.0.scheduler.start_value": (3.0e-6, 5.0e-6),
    "trainer.optim.options.lr.0.scheduler.end_value": (3.0e-7, 5.0e-7),
    "trainer.optim.options.lr.1.scheduler.start_value": (5.0e-6, 3.0e-6),
    "trainer.optim.options.lr.1.scheduler.end_value": (5.0e-7, 3.0e-7),
    "scratch.num_train_workers": (4, 10),
    "trainer.data.train.num_workers": (4, 10),
    # with validation, by our trainer, which saves and loads by itself
    "trainer._target_": ("cinetrack.finetuning.trainer.FineTuningTrainer", "training.trainer.Trainer"),
    "trainer.mode": ("train", "train_only"),
    "trainer.checkpoint.save_dir": ("run", "run/checkpoints"),
}
OURS_ALONE = ("trainer.accumulate", "trainer.cuda", "trainer.start", "trainer.validation", "trainer.val_epoch_freq")
# Where clips come from and where training starts, which the MOSE file says in its own way.
REPLACED = ("dataset", "trainer.data.train.datasets", "trainer.checkpoint.model_weight_initializer")


def test_defaults_are_the_mose_recipe_but_for_the_papers_rates_and_what_is_listed():
    ours, mose = leaves(plain(built())), leaves(stock())
    left = set()
    for key in ours.keys() | mose.keys():
        if key in CHOSEN:
            expected, stock_value = CHOSEN[key]
            assert mose[key] == as_close(stock_value), key
            assert ours[key] == as_close(expected), key
        elif key.startswith(OURS_ALONE):
            assert key not in mose
        elif not key.startswith(REPLACED) and (key not in ours or key not in mose or ours[key] != mose[key]):
            left.add(key)
    # base+ is also what the MOSE file trains: the published file names three of its settings and MOSE does not.
    assert left == {"trainer.model.compile_image_encoder"}


def test_cudnn_looks_for_the_fastest_algorithms_only_where_batches_are_of_one_shape():
    assert built().trainer.cuda.cudnn_benchmark is True  # upstream's default
    assert built(Recipe(batch_clips=2)).trainer.cuda.cudnn_benchmark is False


def test_clips_are_sampled_and_augmented_as_in_the_mose_recipe():
    config = plain(built())
    (mixed,) = config["trainer"]["data"]["train"]["datasets"]
    (mose,) = stock()["trainer"]["data"]["train"]["datasets"][0]["dataset"]["datasets"]
    assert mixed["_target_"] == "training.dataset.utils.ConcatDataset"
    cases, phantom = mixed["datasets"]
    for source in (cases, phantom):
        assert source["sampler"] == mose["sampler"]
        assert source["transforms"] == mose["transforms"]
        assert source["seed"] == 123
    assert mose["sampler"]["num_frames"] == 8 and mose["sampler"]["max_num_objects"] == 3
    assert cases["multiplier"] == mose["multiplier"] == 2
    assert cases["patients"] == ["A"]


def test_losses_are_weighted_20_1_1_1():
    config = built()
    assert plain(config.trainer.loss.all.weight_dict) == {
        "loss_mask": 20,
        "loss_dice": 1,
        "loss_iou": 1,
        "loss_class": 1,
    }
    assert config.trainer.max_epochs == 40 and config.scratch.resolution == 1024


def test_small_is_the_published_network_with_the_mose_recipes_settings_of_training():
    published = plain(OmegaConf.load(Path(str(files("sam2"))) / "configs/sam2.1/sam2.1_hiera_s.yaml").model)
    mose = stock()["trainer"]["model"]
    text = (Path(str(files("sam2"))) / MOSE).read_text()
    of_training = [line.split(":")[0].strip() for line in text.split("Training specific params")[1].splitlines()]
    expected = published | {key: mose[key] for key in of_training if key in mose}
    expected["_target_"] = "training.model.sam2.SAM2Train"
    expected["image_encoder"]["trunk"]["drop_path_rate"] = 0.1
    assert len(expected) > len(published) + 10
    assert plain(built(name="small").trainer.model) == expected
    assert expected["image_size"] == 1024


@pytest.mark.parametrize("name", ["tiny", "small", "base+", "large"])
def test_every_published_name_gives_its_published_trunk(name):
    published = read_architecture(CONFIG_NAMES[name], Path()).image_encoder.trunk
    trunk = plain(built(name=name).trainer.model.image_encoder.trunk)
    assert trunk == plain(published) | {"drop_path_rate": 0.1}


def test_the_image_encoder_has_its_own_rate_which_decays_from_layer_to_layer(tiny_config):
    recipe = Recipe(layer_decay=0.5)
    model = training_model(read_architecture(tiny_config.name, tiny_config.parent), False, None)
    start = {"init": "scratch", "config": str(tiny_config)}
    config = training_config(model, recipe, DATA, SPLIT, start, ("tracker.yaml", "run"), RUN, "cpu")
    network = instantiate(config.trainer.model, _convert_="all")
    optim = config.trainer.optim
    made = construct_optimizer(network, optim.optimizer, optim.options, optim.param_group_modifiers)
    optimiser = made.optimizer
    assert isinstance(optimiser, torch.optim.AdamW)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found = {names[id(p)]: group for group in optimiser.param_groups for p in group["params"]}
    assert found.keys() == set(names.values()) and all(p.requires_grad for p in network.parameters())
    blocks = len(network.image_encoder.trunk.blocks)
    for name, group in found.items():
        if name.startswith("image_encoder.trunk.blocks."):
            expected = 5.0e-6 * 0.5 ** (blocks - int(name.split(".")[3]))
        elif name.startswith("image_encoder.trunk.pos_embed"):
            expected = 5.0e-6
        elif name.startswith("image_encoder.trunk."):
            expected = 5.0e-6 * 0.5 ** (blocks + 1)
        else:
            expected = 5.0e-6 if name.startswith("image_encoder.") else 3.0e-6
        assert group["lr"] == pytest.approx(expected), name
        is_norm = isinstance(network.get_submodule(name.rpartition(".")[0]), torch.nn.LayerNorm)
        assert group["weight_decay"] == (0.0 if "bias" in name or is_norm else 0.1), name


def test_the_rates_fall_along_a_cosine_to_their_share_and_may_rise_first():
    config = built(Recipe(other_lr=1e-3, image_encoder_lr=2e-3, final_lr_share=0.25, warmup_share=0.2))
    other, encoder = (instantiate(group.scheduler) for group in config.trainer.optim.options.lr)
    for scheduler, rate in ((other, 1e-3), (encoder, 2e-3)):
        assert scheduler(0.0) == pytest.approx(rate / 10)
        assert scheduler(0.1) == pytest.approx(rate * 0.55)
        assert scheduler(0.2) == pytest.approx(rate)
        assert scheduler(0.6) == pytest.approx(rate * 0.625)
        assert scheduler(1 - 1e-9) == pytest.approx(rate * 0.25)


def test_a_setting_of_the_scratch_section_reaches_all_that_refers_to_it():
    config = built(overrides=("scratch.base_lr=1e-4", "scratch.num_frames=5", "trainer.optim.gradient_clip=null"))
    schedule = config.trainer.optim.options.lr[0].scheduler
    assert (schedule.start_value, schedule.end_value) == (pytest.approx(1e-4), pytest.approx(1e-5))
    for source in config.trainer.data.train.datasets[0].datasets:
        assert source.sampler.num_frames == 5
    assert config.trainer.optim.gradient_clip is None


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("float32", (False, "bfloat16")), ("bfloat16", (True, "bfloat16")), ("float16", (True, "float16"))],
)
def test_precision_sets_upstreams_mixed_precision(precision, expected):
    amp = built(Recipe(precision=precision)).trainer.optim.amp
    assert (amp.enabled, amp.amp_dtype) == expected


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scratch.num_frames", "expected key=value"),
        ("=3", "expected key=value"),
        ("scratch.frames=3", "no scratch.frames"),
        ("scratch.num_frames.more=3", "scratch.num_frames.more"),
        ("nonsense=1", "no nonsense"),
        ("scratch.num_frames=[1, 2", "expected a setting that can be changed so"),
        ("scratch.num_frames=${no.such}", "expected a"),
        ("scratch.base_lr=fast", "expected a configuration that resolves"),
        ("trainer.optim.options.lr[7].scheduler=1", "trainer.optim.options.lr"),
    ],
)
def test_a_setting_that_cannot_be_made_is_named(override, message):
    with pytest.raises(InputError, match="--set") as error:
        built(overrides=(override,))
    assert message in str(error.value)


@pytest.mark.parametrize(("name", "size", "step"), [("small", 1000, 32), ("tiny", 528, 32), ("large", 80, 32)])
def test_a_size_that_the_network_cannot_see_is_refused(name, size, step):
    architecture = read_architecture(CONFIG_NAMES[name], Path())
    with pytest.raises(InputError, match=f"multiple of {step} for this network, found {size}"):
        training_model(architecture, True, size)
    check_image_size(architecture, 512)


def test_the_smallest_step_of_sizes_is_one_that_the_network_sees(tiny_config):
    model = training_model(read_architecture(tiny_config.name, tiny_config.parent), False, None)
    network = instantiate(model, _convert_="all").eval()
    with torch.no_grad():
        for size in (64, 96, 160):
            check_image_size(model, size)
            assert network.forward_image(torch.zeros(1, 3, size, size))["backbone_fpn"][0].shape[-1] == size // 4
        for size in (80, 112):
            with pytest.raises(InputError):
                check_image_size(model, size)
            with pytest.raises(RuntimeError):
                network.forward_image(torch.zeros(1, 3, size, size))
