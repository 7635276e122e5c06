"""Which cases are this process's, when several share the work."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TypeVar

from cinetrack.errors import InputError

Case = TypeVar("Case")


@dataclass(frozen=True)
class Shard:
    """Process `rank` of `size`, both as torchrun and srun number them."""

    rank: int = 0
    size: int = 1

    def of(self, cases: list[Case]) -> list[Case]:
        """This process's share: every `size`-th case from `rank` on."""
        return cases[self.rank :: self.size]

    def __str__(self) -> str:
        return f"process {self.rank} of {self.size}"


def this_shard(named: str | None = None) -> Shard:
    """The shard named by RANK and WORLD_SIZE, or within an srun step by SLURM_PROCID and SLURM_NTASKS.

    Args:
        named: I/N, counted from 0, which goes before the environment.
    Raises:
        InputError: `named` is not of that form; one of the two variables is missing or no number; out of range.
    """
    if named is not None:
        match = re.fullmatch(r"(\d+)/(\d+)", named)
        if not match or int(match[1]) >= int(match[2]):
            raise InputError(f"--shard: expected I/N with I from 0 to N - 1, found {named}")
        return Shard(int(match[1]), int(match[2]))
    if "RANK" in os.environ or "WORLD_SIZE" in os.environ:
        names = ("RANK", "WORLD_SIZE")
    elif "SLURM_STEP_ID" in os.environ:  # a batch script has SLURM_NTASKS as well, and is one process all the same
        names = ("SLURM_PROCID", "SLURM_NTASKS")
    else:
        return Shard()
    try:
        rank, size = (int(os.environ.get(name, "")) for name in names)
    except ValueError:
        found = ", ".join(f"{name}={os.environ.get(name, '')}" for name in names)
        raise InputError(f"environment: expected numbers in {names[0]} and {names[1]}, found {found}") from None
    if not 0 <= rank < size:
        raise InputError(f"environment: expected 0 <= {names[0]} < {names[1]}, found {rank} and {size}")
    return Shard(rank, size)
