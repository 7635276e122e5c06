"""Build the network that nnU-Net's plans describe, from known building blocks only.

plans.json names Python classes, and nnU-Net imports whatever is named there. A model folder comes from somebody else,
so here a name must lead to a network of nnU-Net's own architecture package, or to a layer of torch.
"""

from __future__ import annotations

import contextlib
import pydoc
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cinetrack.bundle.build_limit import check_settings
from cinetrack.errors import BundleError
from cinetrack.refinement.nnunet import ConfigurationManager, get_network_from_plans, unet

ARCHITECTURES = ("dynamic_network_architectures.",)
LAYERS = ("torch.nn.", *ARCHITECTURES)


def build_network(configuration: ConfigurationManager, inputs: int, outputs: int, plans_path: Path) -> nn.Module:
    """The planned network with fresh weights, without deep supervision.

    Args:
        inputs, outputs: numbers of channels.
        plans_path: the file to name where the plans cannot be followed.
    Raises:
        BundleError: the plans name a class outside the allowed packages, or numbers that no network has.
    """
    architecture = configuration.configuration["architecture"]
    arguments, imported = architecture["arch_kwargs"], architecture["_kw_requires_import"]
    check_settings(arguments, plans_path, "arch_kwargs")
    network_class = _locate(architecture["network_class_name"], ARCHITECTURES, plans_path)
    for key in imported:
        if arguments[key] is not None:
            _locate(arguments[key], LAYERS, plans_path)
    return get_network_from_plans(
        f"{network_class.__module__}.{network_class.__qualname__}",
        arguments,
        imported,
        inputs,
        outputs,
        allow_init=False,  # the checkpoint's weights follow
        deep_supervision=False,
    )


def load_state(network: nn.Module, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Give a network the weights read from `path`. Raises BundleError where names or shapes differ."""
    try:
        network.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        differences = " ".join(line.strip() for line in str(error).splitlines()[1:3]) or str(error)
        raise BundleError(f"{path}: expected the weights of the planned network, found {differences[:200]}") from None


def lay_out_for_cpu(network: nn.Module) -> nn.Module:
    """Keep channels last in memory, where CPU convolutions need no reordering; in place, returns the network.

    torch's instance normalisation would undo this at every layer, so it is replaced.
    """
    _replace_instance_norm(network)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it


class ChannelsLastInstanceNorm(nn.Module):
    """The function of nn.InstanceNorm2d without running statistics, with its parameters, in the input's layout."""

    def __init__(self, original: nn.InstanceNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = original.weight, original.bias, original.eps

    def forward(self, x_bchw: torch.Tensor) -> torch.Tensor:
        """Normalise each channel of each image."""
        if len(x_bchw) > 1:
            return torch.cat([self(x_bchw[n : n + 1]) for n in range(len(x_bchw))])
        # Two passes, both with torch's cascading sums: batch_norm's own channels-last statistics run through 150,000
        # pixels in plain float32, and that error is five times larger in the paper's network's logits.
        x_bchw = x_bchw.float()  # under autocast convolutions give half the digits
        mean = x_bchw.mean((0, 2, 3))
        variance = (x_bchw - mean[:, None, None]).square_().mean((0, 2, 3))
        return nn.functional.batch_norm(x_bchw, mean, variance, self.weight, self.bias, training=False, eps=self.eps)


def _replace_instance_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.InstanceNorm2d) and not child.track_running_stats:
            setattr(module, name, ChannelsLastInstanceNorm(child))
        else:
            _replace_instance_norm(child)


def _locate(name: Any, packages: tuple[str, ...], plans_path: Path) -> type[nn.Module]:
    found = None
    if isinstance(name, str) and name.startswith(packages):
        with contextlib.suppress(pydoc.ErrorDuringImport):
            # Plans of 2023 name modules that have since moved; nnU-Net, too, then goes by the class's name.
            found = pydoc.locate(name) or getattr(unet, name.rpartition(".")[2], None)
    # The name's beginning is not enough: torch.nn.modules.os.system is a name that leads elsewhere.
    if not (isinstance(found, type) and issubclass(found, nn.Module) and found.__module__.startswith(packages)):
        wanted = " or ".join(f"{package}*" for package in packages)
        raise BundleError(f"{plans_path}: expected a network or layer of {wanted}, found {name!r}")
    return found
