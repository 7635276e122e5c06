"""A network's answer is finite, or it is worked out once more in float32, or it is an error.

Half precision ends at 65504, and a product beyond it makes everything after it infinite or NaN. Compared with 0, NaN is
not above it: left alone, a number that is none would become "no target".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import torch

from cinetrack.errors import BundleError

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


def finite_answer(
    work_out: Callable[[bool], Answer],
    numbers_of: Callable[[Answer], Iterable[torch.Tensor]],
    half: bool,
    network: str,
    source: Path | str,
) -> Answer:
    """What `work_out(False)` gives where that is finite, else what `work_out(True)` gives, in float32.

    Args:
        work_out: runs the network; told whether to do so in float32 instead of its own precision.
        numbers_of: the tensors of an answer that have to be finite.
        half: whether the network's own precision is another than float32.
        network: in words, for warning and error.
        source: the file or folder that its weights came from.
    Raises:
        BundleError: not even float32 gives finite numbers.
    """
    answer = work_out(False)
    if all_finite(numbers_of(answer)):
        return answer
    if half:
        logger.warning("%s: numbers beyond the range of half precision, computing this frame in float32", network)
        answer = work_out(True)
        if all_finite(numbers_of(answer)):
            return answer
    raise not_finite(network, source)


def not_finite(network: str, source: Path | str) -> BundleError:
    """The error of a network whose answer is no number in float32 either."""
    return BundleError(f"{source}: expected finite numbers from the {network}, found NaN or infinity, in float32 too")


def all_finite(tensors: Iterable[torch.Tensor]) -> bool:
    """Whether no tensor holds a NaN or an infinity; one wait for the device."""
    flags = [torch.isfinite(tensor).all() for tensor in tensors]
    return bool(torch.stack(flags).all())
