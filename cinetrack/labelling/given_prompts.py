"""The prompts that a labeller gave, on whichever frames, and their form in prompts.json.

    {"frame": 0, "object": 1, "prompt": {"kind": "mask", "shape": [H, W], "runs": [[start, length], ...]},
     "drawn": [{"kind": "box", "box": [top, left, bottom, right]}]}
    {"frame": 17, "object": 1, "prompt": {"kind": "points", "points": [[row, column], ...], "positive": [true, ...]},
     "drawn": []}

`prompt` is what the tracker is given; `drawn` what the labeller drew, in turn, where a segmenter made the prompt of it.
Coordinates are the series' own (row 0 as stored, which is the patient's feet); `runs` count the pixels row by row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cinetrack.errors import InputError
from cinetrack.tracking import BoxPrompt, MaskPrompt, PointPrompt, Prompt

MOST_PROMPTS = 500
MOST_FRAMES = 10**8  # of a sequence; four months of cine-MR


@dataclass(frozen=True, eq=False)
class GivenPrompt:
    """A prompt for object 1, 2, ... on a frame."""

    frame: int
    object_number: int
    prompt: Prompt
    drawn: tuple[BoxPrompt | PointPrompt, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.frame < MOST_FRAMES or not 1 <= self.object_number <= 255:
            found = f"frame {self.frame!r:.20}, object {self.object_number!r:.20}"
            raise InputError(f"prompt: expected a frame from 0 and an object from 1 to 255, found {found}")

    @property
    def mask(self) -> np.ndarray | None:
        """(H, W) bool, the mask that was given; None for a box or clicks that the tracker understands itself."""
        return self.prompt.mask if isinstance(self.prompt, MaskPrompt) else None


def prompts_to_json(prompts: Sequence[GivenPrompt]) -> list[dict[str, Any]]:
    """As in this module's description."""
    return [
        {
            "frame": given.frame,
            "object": given.object_number,
            "prompt": prompt_to_json(given.prompt),
            "drawn": [prompt_to_json(prompt) for prompt in given.drawn],
        }
        for given in prompts
    ]


def prompts_from_json(document: Any, name: str, frame_shape: tuple[int, int]) -> list[GivenPrompt]:
    """Read what `prompts_to_json` wrote of frames of `frame_shape`, (H, W).

    Raises:
        InputError: with `name`; it is anything else, or more than MOST_PROMPTS.
    """
    if isinstance(document, list) and len(document) > MOST_PROMPTS:
        raise InputError(f"{name}: expected at most {MOST_PROMPTS} labelling prompts, found {len(document)}")
    try:
        return [
            GivenPrompt(
                _whole(entry["frame"]),
                _whole(entry["object"]),
                prompt_from_json(entry["prompt"], frame_shape),
                tuple(_drawn(prompt) for prompt in entry["drawn"]),
            )
            for entry in document
        ]
    except (KeyError, TypeError, ValueError, OverflowError, InputError) as error:
        raise InputError(f"{name}: expected labelling prompts, found something else ({error!r:.200})") from None


def prompt_to_json(prompt: Prompt) -> dict[str, Any]:
    """One prompt's json form."""
    match prompt:
        case MaskPrompt():
            return {"kind": "mask", "shape": list(prompt.mask.shape), "runs": _runs(prompt.mask)}
        case BoxPrompt():
            return {"kind": "box", "box": [prompt.top, prompt.left, prompt.bottom, prompt.right]}
        case PointPrompt():
            return {"kind": "points", "points": [list(p) for p in prompt.points], "positive": list(prompt.positive)}


def prompt_from_json(value: dict[str, Any], frame_shape: tuple[int, int]) -> Prompt:
    """The prompt of a json form, on a frame of `frame_shape`, (H, W).

    Raises:
        KeyError, TypeError, ValueError, InputError: it is none, or a mask of another shape.
    """
    match value["kind"]:
        case "mask":
            if tuple(_whole(side) for side in value["shape"]) != tuple(frame_shape):  # before memory is taken for it
                raise ValueError(f"expected a mask of shape {tuple(frame_shape)}, found {value['shape']!r:.60}")
            return MaskPrompt(_from_runs(value["runs"], frame_shape))
        case "box" | "points":
            return _drawn(value)
        case kind:
            raise ValueError(f"kind {kind!r}")


def _drawn(value: dict[str, Any]) -> BoxPrompt | PointPrompt:
    match value["kind"]:
        case "box":
            return BoxPrompt(*(_finite(edge) for edge in value["box"]))
        case "points":
            points = tuple((_finite(row), _finite(column)) for row, column in value["points"])
            return PointPrompt(points, tuple(bool(sign) for sign in value["positive"]))
        case kind:
            raise ValueError(f"kind {kind!r}")


def _runs(mask: np.ndarray) -> list[list[int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.ravel().view(np.int8), [0]])))
    return [[int(start), int(end - start)] for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _from_runs(runs: list[list[int]], shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape[0] * shape[1], dtype=bool)
    for start, length in runs:
        if not (0 <= _whole(start) < start + _whole(length) <= mask.size):
            raise ValueError(f"run {[start, length]}")
        mask[start : start + length] = True
    return mask.reshape(shape)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"expected a finite number, found {number}")
    return number


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected a whole number, found {value!r:.60}")
    return value
