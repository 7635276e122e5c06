"""What a run starts from: an architecture and weights, checked against each other before any training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from cinetrack.bundle import open_bundle
from cinetrack.bundle.lookup import bundled, shipped_names
from cinetrack.errors import InputError
from cinetrack.finetuning.initial_weights import teach_multimask_tokens, untrained_weights
from cinetrack.sequence.atomic_write import write_text_atomically
from cinetrack.tracking.evidence.sam2.architecture import (
    build_network,
    guess_config,
    is_published_config,
    load_weights_into,
    read_architecture,
    read_weights,
)

# The one list of short names: what --config takes -> sam2's configuration.
CONFIG_NAMES = {
    "tiny": "sam2.1_hiera_t.yaml",
    "small": "sam2.1_hiera_s.yaml",
    "base+": "sam2.1_hiera_b+.yaml",
    "large": "sam2.1_hiera_l.yaml",
}
SCRATCH = "scratch"
CONFIG_COPY = "tracker.yaml"  # in the run's folder, for a bundle


@dataclass(frozen=True, eq=False)
class StartingPoint:
    """An architecture and the weights that training starts from.

    Attributes:
        config: file name of one of sam2's own configurations, or of a yaml inside `folder`.
        folder: where a yaml lies.
        weights: name -> tensor, fitting the architecture.
    """

    config: str
    folder: Path
    weights: dict[str, torch.Tensor]

    @property
    def is_published(self) -> bool:
        """Whether the architecture is one of Meta's."""
        return is_published_config(self.config)

    def architecture(self) -> DictConfig:
        """The `model` part of the configuration."""
        return read_architecture(self.config, self.folder)


def starting_point(init: str, config: str | None, seed: int) -> StartingPoint:
    """Read and check what to start from.

    Args:
        init: a checkpoint's path, a bundle's folder, or "scratch".
        config: tiny, small, base+, large or the path of a yaml; None for the bundle's own, or what the checkpoint's
            published name says.
        seed: of weights from scratch.
    Raises:
        InputError: no such file, no configuration to be had.
        BundleError: weights and architecture differ; names the first tensors and their shapes.
    """
    name, folder = _configuration(config)
    if init == SCRATCH:
        if name is None:
            raise InputError("--config: expected an architecture to train from scratch, found none")
        return StartingPoint(name, folder, untrained_weights(name, folder, seed))
    path = Path(init)
    if not path.exists() and init in shipped_names():
        path = bundled(init)
    single_mask = False
    if path.is_dir():
        bundle = open_bundle(path)
        sam2 = bundle.method.sam2
        if sam2 is None:
            raise InputError(f"{path}: expected a bundle with a SAM2 tracker, found {bundle.method.name}")
        own = read_architecture(sam2.config, bundle.folder)
        single_mask = not own.get("multimask_output_in_sam")  # without which SAM2 gives one mask, tracking or not
        if name is None:
            name, folder = sam2.config, bundle.folder
        path = bundle.folder / sam2.checkpoint
    elif not path.is_file():
        raise InputError(f'{path}: expected a SAM2 checkpoint, a bundle\'s folder or "{SCRATCH}", found none')
    name = name or guess_config(path, "--config")
    weights = read_weights(path)
    network = build_network(name, folder, weights)
    load_weights_into(network, weights, path)
    architecture = read_architecture(name, folder)
    if single_mask and architecture.get("multimask_output_in_sam"):
        teach_multimask_tokens(network, seed)
    return StartingPoint(name, folder, network.state_dict())


def write_config_copy(architecture: DictConfig, run: Path) -> None:
    """Write the `--tracker-config` for this run's checkpoints beside them."""
    document = OmegaConf.create({"model": OmegaConf.to_container(architecture)})
    # hydra puts a file that lies in a folder of its search path below that folder's name, unless it says this.
    write_text_atomically(run / CONFIG_COPY, "# @package _global_\n" + OmegaConf.to_yaml(document))


def _configuration(config: str | None) -> tuple[str | None, Path]:
    if config is None:
        return None, Path()
    if config in CONFIG_NAMES:
        return CONFIG_NAMES[config], Path()
    path = Path(config)
    if not path.is_file():
        raise InputError(f"{config}: expected one of {', '.join(CONFIG_NAMES)}, or a yaml, found no such file")
    return path.name, path.parent
