"""Which device to run on, and in which precision."""

from __future__ import annotations

import torch

from cinetrack.errors import InputError


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" is the first GPU where there is one. Raises InputError where it is absent."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device: expected auto, cpu, cuda or cuda:N, found {name}") from None
    if device.type not in ("cpu", "cuda"):  # torch knows many more
        raise InputError(f"device: expected auto, cpu, cuda or cuda:N, found {name}")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise InputError(f"device: expected one of the {count} GPUs that torch can use here, found {name}")
    return device


def native_precision(device: torch.device) -> torch.dtype:
    """bfloat16 where the GPU has units for it (compute capability 8 on), float16 on older GPUs, float32 on a CPU."""
    if device.type == "cpu":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
