"""Arguments that several commands share, so that one idea has one name and one way to write it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class FoldsAction(argparse.Action):
    """Stores folds as a list of words, whether they were written as 0 1 2 or as 0,1,2."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Called by argparse with the option's words."""
        words = [values] if isinstance(values, str) else list(values or [])
        setattr(namespace, self.dest, [part for word in words for part in str(word).split(",") if part])


def add_model(parser: argparse.ArgumentParser) -> None:
    """Declare --model, as `load_model` takes it."""
    parser.add_argument(
        "--model",
        type=Path,
        help="the model to run: a bundle's folder, or default, registration or static (default: /opt/ml/model where "
        "that holds a bundle, else default)",
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Declare --device, as `load_model` takes it."""
    parser.add_argument(
        "--device",
        default="auto",
        help="where networks run: cpu, cuda, cuda:N for the Nth GPU, or auto for a GPU where there is one (default "
        "auto)",
    )


def add_shard(parser: argparse.ArgumentParser) -> None:
    """Declare --shard, as `this_shard` takes it."""
    parser.add_argument(
        "--shard",
        metavar="I/N",
        help="this process's share of the cases, the Ith of N (default: by torchrun's or srun's variables, else all)",
    )


def add_mirroring(parser: argparse.ArgumentParser) -> None:
    """Declare --mirroring on or off; `args.mirroring` is a bool."""
    parser.add_argument(
        "--mirroring",
        type=_on_or_off,
        default=True,
        metavar="on|off",
        help="test-time mirroring: the nnU-Net averages its answers to the frame and its mirror images, as in the "
        "paper, "
        "and takes up to four times as long; turn it off where time is short (default on)",
    )


def _on_or_off(word: str) -> bool:
    if word not in ("on", "off"):
        raise argparse.ArgumentTypeError(f"expected on or off, found {word}")
    return word == "on"
