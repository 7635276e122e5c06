"""A box, or clicks, into a mask: by SAM2 itself, or by a classical method where SAM2 never learned boxes.

Chosen by the bundle (`Bundle.segmenter`). A frame is prepared once and all its boxes use that: for SAM2 the image
embedding, which is nearly all of the work.

GrabCut: Rother, Kolmogorov and Blake, SIGGRAPH 2004 (OpenCV). Random walker: Grady, PAMI 2006 (scikit-image).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from scipy import ndimage

from cinetrack.errors import InputError
from cinetrack.evaluation.dice import dice_coefficients
from cinetrack.tracking.postprocessing.fill_holes import fill_holes
from cinetrack.pipeline.model import Model
from cinetrack.sequence.intensity import min_max_8bit
from cinetrack.tracking import BoxPrompt, Chain, MaskPrompt, PointPrompt, Prompt, TrackingSession
from cinetrack.tracking.prompts import check_prompt

CLICK_RADIUS_PX = 2  # a click says as much about its neighbours
GRABCUT_ITERATIONS = 5
# Targets are round, and often little brighter than what is around them: a mask that differs more (Dice) from the
# ellipse in the box followed other edges. On the first frames of 24 phantom cases (seeds 9001 to 9003 and 72001 to
# 72003) GrabCut alone has mean Dice 0.57, the ellipse 0.911, and the two so combined 0.914.
LEAST_OVERLAP_WITH_ELLIPSE = 0.8
RANDOM_WALKER_BETA = 130.0  # how much an intensity edge hinders the walker; scikit-image's default


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A (H, W) bool mask, and its own method's estimate of its IoU in [0, 1]; NaN where that makes none."""

    mask: np.ndarray
    score: float = math.nan


class FrameSegmenter(Protocol):
    """One frame, ready for any number of prompts."""

    def segment(self, prompt: BoxPrompt | PointPrompt, present: np.ndarray | None = None) -> Segmentation:
        """The mask of one prompt.

        Args:
            present: (H, W) bool, the mask that clicks are to mend; clicks need one, boxes ignore it.
        Raises:
            InputError: the prompt lies outside the frame, or nothing was found.
        """


class Segmenter(Protocol):
    """A method. `prompts_tracker`: the tracker understands boxes and clicks itself, on every frame."""

    name: str
    prompts_tracker: bool

    def begin(self, frame: np.ndarray) -> FrameSegmenter:
        """Prepare a (H, W) frame of any real type."""


def segmenter_of(model: Model) -> Segmenter:
    """The segmenter that the model's bundle names."""
    name = model.bundle.segmenter
    if name == "sam2":
        return Sam2Segmenter(model.chain)
    return ClassicalSegmenter(name, {"grabcut": grabcut, "random_walker": random_walker}[name])


class Sam2Segmenter:
    """SAM2's own mask decoder."""

    name = "sam2"
    prompts_tracker = True

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def begin(self, frame: np.ndarray) -> FrameSegmenter:
        return _Sam2Frame(self._chain, frame)


class _Sam2Frame:
    """Every box is a target of one tracking session, which embeds the frame when it starts."""

    def __init__(self, chain: Chain, frame: np.ndarray) -> None:
        self._chain = chain
        self._frame = frame
        self._session: TrackingSession | None = None

    def segment(self, prompt: BoxPrompt | PointPrompt, present: np.ndarray | None = None) -> Segmentation:
        if isinstance(prompt, BoxPrompt):
            result = self._add(prompt).results[-1]
        else:
            session = self._add(MaskPrompt(_mendable(present)))
            result = session.correct(prompt, len(session.results) - 1)
        return Segmentation(_found(result.mask), result.predicted_iou)

    def _add(self, prompt: Prompt) -> TrackingSession:
        if self._session is None:
            self._session = self._chain.start(self._frame, prompt)
        else:
            self._session.add_target(prompt)
        return self._session


class ClassicalSegmenter:
    """A function of the frame and seeds.

    Args:
        method: (8-bit crop, seeds of the crop) -> bool mask; seeds are cv2.GC_BGD, GC_FGD, GC_PR_BGD and GC_PR_FGD.
    """

    prompts_tracker = False

    def __init__(self, name: str, method: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        self.name = name
        self._method = method

    def begin(self, frame: np.ndarray) -> FrameSegmenter:
        return _ClassicalFrame(min_max_8bit(frame), self._method)


class _ClassicalFrame:
    def __init__(self, grey: np.ndarray, method: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        self._grey = cv2.GaussianBlur(grey, (3, 3), 0)
        self._method = method

    def segment(self, prompt: BoxPrompt | PointPrompt, present: np.ndarray | None = None) -> Segmentation:
        check_prompt(prompt, self._grey.shape)
        seeds = (
            box_seeds(prompt, self._grey.shape)
            if isinstance(prompt, BoxPrompt)
            else click_seeds(prompt, present, self._grey.shape)
        )
        region = _region(seeds)
        mask = np.zeros(self._grey.shape, dtype=bool)
        mask[region] = self._method(self._grey[region], seeds[region])
        if isinstance(prompt, BoxPrompt):
            mask = _plausible(_largest_part(mask), _ellipse(prompt, self._grey.shape) < 1)
        return Segmentation(_found(fill_holes(mask)))


def box_seeds(box: BoxPrompt, shape: tuple[int, int]) -> np.ndarray:
    """Background outside the box, target in its middle, unknown between.

    Returns:
        (H, W) uint8 of OpenCV's GrabCut classes.
    """
    seeds = np.full(shape, cv2.GC_BGD, dtype=np.uint8)
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    away = _ellipse(box, shape)
    inside = (rows > box.top) & (rows < box.bottom) & (columns > box.left) & (columns < box.right)
    seeds[inside] = cv2.GC_PR_BGD
    seeds[inside & (away < 1)] = cv2.GC_PR_FGD
    seeds[inside & (away < 0.35)] = cv2.GC_FGD
    if not (seeds == cv2.GC_FGD).any():
        row = min(int((box.top + box.bottom) / 2), shape[0] - 1)
        seeds[row, min(int((box.left + box.right) / 2), shape[1] - 1)] = cv2.GC_FGD
    return seeds


def click_seeds(clicks: PointPrompt, present: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray:
    """The present mask as a guess, its core as given, and what the clicks say around them.

    Raises:
        InputError: there is no mask to mend.
    """
    present = _mendable(present)
    seeds = np.full(shape, cv2.GC_BGD, dtype=np.uint8)
    reach = ndimage.distance_transform_edt(~present) <= max(6.0, 0.5 * math.sqrt(present.sum()))
    seeds[reach] = cv2.GC_PR_BGD
    seeds[present] = cv2.GC_PR_FGD
    seeds[_core(present)] = cv2.GC_FGD
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    for (row, column), positive in zip(clicks.points, clicks.positive, strict=True):
        away = np.hypot(rows - row, columns - column)
        seeds[(away < 4 * CLICK_RADIUS_PX) & (seeds == cv2.GC_BGD)] = cv2.GC_PR_BGD
        seeds[away <= CLICK_RADIUS_PX] = cv2.GC_FGD if positive else cv2.GC_BGD
    return seeds


def grabcut(grey: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """GrabCut on (h, w) uint8 with the seeds' classes; the same result every time."""
    cv2.setRNGSeed(0)  # its Gaussian mixtures start at random
    classes = seeds.copy()
    colour = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    whole = (0, 0, grey.shape[1], grey.shape[0])  # not looked at where there are seeds
    cv2.grabCut(colour, classes, whole, background, foreground, GRABCUT_ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return (classes == cv2.GC_FGD) | (classes == cv2.GC_PR_FGD)


def random_walker(grey: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Random walker on (h, w) uint8 from the sure seeds; guesses count as unknown."""
    from skimage.segmentation import random_walker as walk

    markers = np.zeros(seeds.shape, dtype=np.int32)
    markers[seeds == cv2.GC_BGD] = 1
    markers[seeds == cv2.GC_FGD] = 2
    if not (markers == 0).any() or not (markers == 1).any():
        return markers == 2
    # Solved exactly: the iterative solvers' tolerance lets the mask spill along the seeds.
    return walk(grey.astype(np.float64), markers, beta=RANDOM_WALKER_BETA, mode="bf") == 2


def _ellipse(box: BoxPrompt, shape: tuple[int, int]) -> np.ndarray:
    """Distance from the box's centre, (H, W): 1 on the ellipse that the box just holds."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    height, width = box.bottom - box.top, box.right - box.left
    return np.hypot(
        (rows - (box.top + box.bottom) / 2) / (height / 2), (columns - (box.left + box.right) / 2) / (width / 2)
    )


def _plausible(mask: np.ndarray, ellipse: np.ndarray) -> np.ndarray:
    """The mask of a box, or the ellipse in it where the two have little in common."""
    overlap = dice_coefficients(mask[None], ellipse[None])[0]
    return mask if overlap >= LEAST_OVERLAP_WITH_ELLIPSE or not ellipse.any() else ellipse


def _region(seeds: np.ndarray) -> tuple[slice, slice]:
    """Where the answer is open, with a margin of half its size: enough background to tell it from."""
    open_ = seeds != cv2.GC_BGD
    return _with_margin(open_.any(axis=1)), _with_margin(open_.any(axis=0))


def _with_margin(line: np.ndarray) -> slice:
    found = np.flatnonzero(line)
    margin = max(6, (found[-1] - found[0] + 1) // 2)
    return slice(max(0, int(found[0]) - margin), int(found[-1]) + 1 + margin)


def _core(mask: np.ndarray) -> np.ndarray:
    depth = ndimage.distance_transform_edt(mask)
    return depth > 0.6 * depth.max()


def _largest_part(mask: np.ndarray) -> np.ndarray:
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    return parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])


def _mendable(present: np.ndarray | None) -> np.ndarray:
    if present is None or not present.any():
        raise InputError("points: expected an object with a mask to mend on this frame, found none; draw a box instead")
    return present


def _found(mask: np.ndarray) -> np.ndarray:
    if not mask.any():
        raise InputError("box: expected a target in it, found none; draw it closer, or brush the mask")
    return mask
