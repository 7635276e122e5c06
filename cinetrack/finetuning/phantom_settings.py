"""The phantom as a source of clips, from the settings in a json file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from cinetrack.errors import InputError
from cinetrack.finetuning.recipe import PhantomSource
from cinetrack.phantom.clips import ClipConfig
from cinetrack.sequence.json_files import read_json

SIZE = "size_px"  # of `PhantomSource`, beside the settings of `ClipConfig`


def phantom_source(clips: int, path: Path | None) -> PhantomSource | None:
    """The source of so many clips an epoch; None for 0.

    Args:
        path: a json object of `ClipConfig`'s settings and size_px, or None for the defaults.
    Raises:
        InputError: no such file, an unknown setting, or a value of another kind or out of range.
    """
    if not clips:
        if path is not None:
            raise InputError(f"--phantom-config {path}: expected --phantom-clips with it, found none")
        return None
    if path is None:
        return PhantomSource(clips)
    kinds = get_type_hints(ClipConfig) | {SIZE: get_type_hints(PhantomSource)[SIZE]}
    settings = read_json(path)
    if not isinstance(settings, dict) or not settings.keys() <= kinds.keys():
        raise InputError(
            f"{path}: expected an object with some of {', '.join(sorted(kinds))}, found {json.dumps(settings)[:200]}"
        )
    for key, value in settings.items():
        if not _fits(value, kinds[key]):
            kind = kinds[key].__name__ if isinstance(kinds[key], type) else kinds[key]
            raise InputError(f"{path}: {key}: expected {kind}, found {json.dumps(value)[:60]}")
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    sizes = {SIZE: given.pop(SIZE)} if SIZE in given else {}
    try:
        return PhantomSource(clips, config=ClipConfig(**given), **sizes)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        return isinstance(value, list) and len(value) == len(kinds) and all(map(_fits, value, kinds))
    if get_origin(kind) is UnionType:
        return any(_fits(value, possible) for possible in get_args(kind))
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind  # bool is an int to isinstance
