"""Which sources and post-processing steps there are: every file of their folders with settings that have a `kind`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from cinetrack.settings import Settings


class StageSettings(Protocol):
    """Settings of a source or a post-processing step."""

    kind: ClassVar[str]  # its name in bundle.json
    on_device: ClassVar[bool]  # whether it has a network to place

    @property
    def files(self) -> tuple[str, ...]:
        """What it is loaded from, relative to the bundle."""

    def load(self, folder: Path, device: str) -> Any:
        """The stage, ready to run."""

    def document(self) -> dict[str, Any]:
        """The settings as values of JSON."""


@cache
def kinds(package: str) -> Mapping[str, type]:
    """The settings classes of a package's modules by their `kind`.

    Args:
        package: "cinetrack.tracking.evidence" or "cinetrack.tracking.postprocessing".
    """
    folder = importlib.import_module(package).__path__
    found: dict[str, type] = {}
    for module in pkgutil.iter_modules(folder):
        loaded = importlib.import_module(f"{package}.{module.name}")
        for _, value in inspect.getmembers(loaded, inspect.isclass):
            if issubclass(value, Settings) and "kind" in vars(value) and value.__module__ == loaded.__name__:
                found[vars(value)["kind"]] = value
    return MappingProxyType(found)


def source_kinds() -> Mapping[str, type]:
    """Settings classes of the sources by kind."""
    return kinds("cinetrack.tracking.evidence")


def postprocessing_kinds() -> Mapping[str, type]:
    """Settings classes of the post-processing steps by kind."""
    return kinds("cinetrack.tracking.postprocessing")
