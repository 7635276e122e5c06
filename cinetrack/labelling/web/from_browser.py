"""What browsers send, checked: numbers are numbers, lists are short. Nothing of it is ever part of a path."""

from __future__ import annotations

import math
import re
from typing import Any

from cinetrack.errors import InputError
from cinetrack.labelling.display import Display
from cinetrack.tracking import BoxPrompt

MOST_BOXES = 50  # drawn at once; more is no one's mouse
MOST_POSITIONS = 2000  # of one brush stroke


def frame_of(payload: Any, sequence: str) -> int | None:
    """The frame that a gradio_image_annotation payload's boxes were drawn on; None where it is of no picture of ours.

    The page's slider may be ahead of the picture, and a hidden picture stays as it was; its own name tells.

    Args:
        sequence: as in `pieces.picture_file`.
    """
    image = payload.get("image") if isinstance(payload, dict) else None
    name = image.get("orig_name") if isinstance(image, dict) else None
    if not isinstance(name, str):
        return None
    match = re.fullmatch(rf"{re.escape(sequence)}-([0-9]{{1,9}})-[0-9a-f]+\.jpg", name)
    return int(match[1]) if match else None


def boxes_from(payload: Any, display: Display, known: tuple[BoxPrompt, ...] = ()) -> list[BoxPrompt]:
    """The boxes of a gradio_image_annotation payload, on the frame; slips of the mouse are left out.

    Args:
        known: boxes that the browser was sent; it sends them back rounded to whole displayed pixels.
    Raises:
        InputError: it is none.
    """
    boxes = payload.get("boxes") if isinstance(payload, dict) else None
    if boxes is None:
        return []
    if payload.get("orientation"):
        raise InputError("boxes: expected the picture upright, found it turned; turn it back")
    if not isinstance(boxes, list) or len(boxes) > MOST_BOXES:
        raise InputError("boxes: expected a list of boxes, found something else")
    found = []
    for box in boxes:
        if not isinstance(box, dict):
            raise InputError("boxes: expected a list of boxes, found something else")
        # The component's own coordinates are of the canvas; scaleFactor is canvas over picture.
        scale = _number(box.get("scaleFactor", 1))
        edges = [_number(box.get(key)) / (scale or 1) for key in ("xmin", "ymin", "xmax", "ymax")]
        if edges[0] < edges[2] and edges[1] < edges[3]:
            same = (box for box in known if _differ_by_rounding(display.box_to_display(box), edges))
            found.append(next(same, None) or display.box_to_frame(*edges))
    return found


def boxes_for(
    boxes: tuple[BoxPrompt, ...], colours: list[tuple[int, int, int]], display: Display
) -> list[dict[str, Any]]:
    """Boxes as the component takes them."""
    return [
        dict(
            zip(("xmin", "ymin", "xmax", "ymax"), display.box_to_display(box), strict=True),
            color=colour,
            label=str(number),
        )
        for number, (box, colour) in enumerate(zip(boxes, colours, strict=True), 1)
    ]


def path_from(data: Any, display: Display) -> list[tuple[float, float]]:
    """A stroke's positions as (row, column) on the frame. Raises InputError where it is none."""
    path = data.get("path") if isinstance(data, dict) else None
    if not isinstance(path, list) or not 0 < len(path) <= MOST_POSITIONS:
        raise InputError("brush: expected a stroke, found something else")
    height, width = display.shape
    found = []
    for position in path:
        if not isinstance(position, list) or len(position) != 2:
            raise InputError("brush: expected a stroke, found something else")
        x, y = (min(max(_number(part), 0.0), 1.0) for part in position)
        found.append(display.to_frame(x * width, y * height))
    return found


def whole_number(value: Any, low: int, high: int) -> int:
    """A whole number from low to high; the nearest one where it lies outside. Raises InputError where it is none."""
    return int(min(max(_number(value), low), high))


def _differ_by_rounding(sent: tuple[float, ...], returned: list[float]) -> bool:
    return all(abs(ours - theirs) <= 0.51 for ours, theirs in zip(sent, returned, strict=True))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError("page: expected a number, found something else; reload the page")
    return float(value)
