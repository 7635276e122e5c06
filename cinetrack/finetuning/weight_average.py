"""The mean of several checkpoints' weights: one network of the same cost that often tracks better than each.

Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022, and "Model soups", ICML 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from cinetrack.bundle import find_bundle
from cinetrack.bundle.lookup import shipped_names
from cinetrack.bundle.checkpoint_file import save_checkpoint
from cinetrack.bundle.finite_weights import check_weights
from cinetrack.bundle.safe_weights import differences
from cinetrack.errors import BundleError, InputError
from cinetrack.tracking.evidence.sam2.architecture import read_weights


def average_checkpoints(sources: Sequence[Path], shares: Sequence[float] | None, output: Path) -> None:
    """Write the weighted mean as a checkpoint that drops into a bundle and into stock `sam2.build_sam`.

    Args:
        sources: two or more SAM2 checkpoints, or bundles with one.
        shares: of each, any finite numbers with a sum above 0, by which they are divided; None for equal ones. One
            below 0 goes beyond the other checkpoints.
        output: the new checkpoint.
    Raises:
        InputError: fewer than two sources, or shares that are none.
        BundleError: a source is unusable, or its tensors differ from the first's; names the first few.
    """
    if len(sources) < 2:
        raise InputError(f"expected two or more checkpoints to average, found {len(sources)}")
    shares = [1.0] * len(sources) if shares is None else shares
    if len(shares) != len(sources):
        raise InputError(f"--shares: expected {len(sources)} numbers, one a checkpoint, found {len(shares)}")
    if not all(map(math.isfinite, shares)) or sum(shares) <= 0:
        raise InputError(f"--shares: expected finite numbers with a sum above 0, found {', '.join(map(str, shares))}")
    # One checkpoint at a time: the largest are 900 MB.
    first: dict[str, torch.Tensor] = {}
    mean: dict[str, torch.Tensor] = {}
    for source, share in zip(sources, shares, strict=True):
        path = _checkpoint(source)
        weights = {name: value for name, value in read_weights(path).items() if isinstance(value, torch.Tensor)}
        first = first or weights
        if problems := differences(first, weights):
            raise BundleError(f"{path}: expected the tensors of {sources[0]}, found some {problems}")
        for name, value in weights.items():
            # In double precision, so that equal weights stay what they are.
            part = value.double() * (share / sum(shares))
            mean[name] = mean[name] + part if name in mean else part
    averaged = {name: value.to(first[name].dtype) for name, value in mean.items()}
    check_weights(averaged, output)  # shares of thousands may leave a number type's range
    save_checkpoint({"model": averaged}, output)


def _checkpoint(source: Path) -> Path:
    if not source.is_dir() and str(source) not in shipped_names():
        return source
    bundle = find_bundle(source)
    if bundle.method.sam2 is None:
        raise InputError(f"{source}: expected a bundle with a SAM2 tracker, found {bundle.method.name}")
    return bundle.folder / bundle.method.sam2.checkpoint
