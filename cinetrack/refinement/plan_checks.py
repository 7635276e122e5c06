"""Whether nnU-Net can follow plans: every class they name is nnU-Net's own, every channel has what it needs, sizes fit.

nnU-Net looks these up frame by frame, and stops where one is missing; some names it would look up lead to functions
that were never meant to be called. Follows DefaultPreprocessor.run_case_npy and the PlansManager of nnunetv2 2.8.1.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nnunetv2
import torch
from nnunetv2.preprocessing.normalization.default_normalization_schemes import CTNormalization, ImageNormalization
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from torch import nn

from cinetrack.errors import BundleError
from cinetrack.refinement.nnunet import ConfigurationManager, LabelManager, PlansManager

LARGEST_PATCH_PX = 1024  # cine-MR has at most some 500 x 500; nnU-Net's Gaussian of this size takes a second
LARGEST_LAYER_BYTES = 50_000_000  # the paper's largest has 19 MB; several are in use at once
# A frame of 500 mm at the finest has 5000 pixels; at the coarsest it is 10.
SPACING_MM = (0.1, 50.0)
_STATISTICS = ("mean", "std", "percentile_00_5", "percentile_99_5")


def check_plans(path: Path, plans: PlansManager, configuration: ConfigurationManager, channels: int) -> None:
    """Raise BundleError, naming `path`, where nnU-Net could not preprocess or export by these plans.

    Args:
        channels: of the network's input.
    """
    patch = configuration.patch_size
    if not all(_is_whole(side) and 1 <= side <= LARGEST_PATCH_PX for side in patch):
        raise BundleError(f"{path}: expected a patch_size of 1 to {LARGEST_PATCH_PX} px a side, found {patch}")
    spacing = configuration.spacing
    low, high = SPACING_MM
    if len(spacing) != 2 or not all(_is_number(side) and low <= side <= high for side in spacing):
        raise BundleError(f"{path}: expected a spacing of two numbers from {low} to {high} mm, found {spacing}")
    _check_axes(path, plans)
    _check_normalization(path, plans, configuration, channels)
    for name in ("resampling_fn_data", "resampling_fn_probabilities", "resampling_fn_seg"):
        wanted = configuration.configuration[name]
        _check_own(path, name, wanted, "preprocessing.resampling", inspect.isfunction, "function")
    preprocessor = configuration.preprocessor_name
    _check_own(path, "preprocessor_name", preprocessor, "preprocessing", _is_kind(DefaultPreprocessor), "preprocessor")
    labels = plans.plans.get("label_manager") or "LabelManager"
    _check_own(path, "label_manager", labels, "utilities.label_handling", _is_kind(LabelManager), "label manager")


def check_layer_sizes(path: Path, network: nn.Module, channels: int, patch: tuple[int, int]) -> None:
    """Raise BundleError where a patch does not fit the network's strides, or a layer would take gigabytes.

    Args:
        network: on torch's "meta" device, where nothing is computed.
        patch: (rows, columns), px.
    """
    largest = 0

    def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
        nonlocal largest
        if isinstance(output, torch.Tensor):
            largest = max(largest, output.numel() * output.element_size())

    for module in network.modules():
        module.register_forward_hook(note)
    try:
        with torch.no_grad():
            network(torch.empty(1, channels, *patch, device="meta"))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BundleError(
            f"{path}: expected a patch_size that the network's stages divide, found {list(patch)} ({reason})"
        ) from None
    if largest > LARGEST_LAYER_BYTES:
        raise BundleError(
            f"{path}: expected a patch_size whose layers take at most {LARGEST_LAYER_BYTES / 1e6:.0f} MB each, found "
            f"{list(patch)} with one of {largest / 1e6:.0f} MB"
        )


def _check_axes(path: Path, plans: PlansManager) -> None:
    forward, backward = plans.transpose_forward, plans.transpose_backward
    # The first axis numbers slices, of which a frame is one.
    is_order = sorted(forward) == [0, 1, 2] and forward[0] == 0
    if not is_order or [forward[axis] for axis in backward] != [0, 1, 2]:
        raise BundleError(
            f"{path}: expected transpose_forward to turn rows and columns, and transpose_backward to turn them back, "
            f"found {forward} and {backward}"
        )


def _check_normalization(path: Path, plans: PlansManager, configuration: ConfigurationManager, channels: int) -> None:
    schemes, masked = configuration.normalization_schemes, configuration.use_mask_for_norm
    for name, values in (("normalization_schemes", schemes), ("use_mask_for_norm", masked)):
        if not isinstance(values, list) or len(values) < channels:
            found = len(values) if isinstance(values, list) else values
            raise BundleError(f"{path}: expected {channels} {name}, one a channel, found {found}")
    for name in dict.fromkeys(schemes):
        _check_own(
            path, "normalization_schemes", name, "preprocessing.normalization", _is_kind(ImageNormalization), "class"
        )
    statistics = plans.foreground_intensity_properties_per_channel
    for channel, (name, is_masked) in enumerate(zip(schemes[:channels], masked, strict=False)):
        if not (is_masked is None or isinstance(is_masked, bool)):
            raise BundleError(f"{path}: use_mask_for_norm: expected true or false, found {is_masked!r}")
        found = statistics.get(str(channel)) if isinstance(statistics, Mapping) else None
        if not isinstance(found, dict):
            raise BundleError(f"{path}: expected intensity statistics of channel {channel}, found none")
        if name == CTNormalization.__name__:
            absent = [key for key in _STATISTICS if not _is_number(found.get(key))]
            if absent:
                raise BundleError(
                    f"{path}: expected the numbers {', '.join(_STATISTICS)} among the intensity statistics of channel "
                    f"{channel}, which {name} needs, found no {', '.join(absent)}"
                )


def _check_own(path: Path, key: str, name: Any, package: str, is_right: Any, kind: str) -> None:
    """Refuse a name that leads elsewhere than to what nnU-Net itself defines in `package`."""
    found = None
    if isinstance(name, str) and name.isidentifier():
        folder = Path(nnunetv2.__path__[0], *package.split("."))
        found = recursive_find_python_class(str(folder), name, f"nnunetv2.{package}")
    if found is None or not is_right(found) or not found.__module__.startswith(f"nnunetv2.{package}"):
        raise BundleError(f"{path}: {key}: expected a {kind} of nnU-Net, found {name!r}")


def _is_kind(kind: type) -> Any:
    return lambda found: isinstance(found, type) and issubclass(found, kind)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
