"""Perturb a tracker's masks, so that the refiner is taught on errors as trackers make them.

A tracker fails for a while rather than for a frame: masks are perturbed in episodes of consecutive frames, each of one
kind whose strength swells and fades. Sizes are relative to the target's radius.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import shift as shift_image

from cinetrack.phantom.smooth_fields import smooth_field
from cinetrack.tracking.signed_distance import signed_distance

KINDS = ("shift", "grow", "shrink", "deform", "drop", "empty")
MEAN_EPISODE_FRAMES = 6
EMPTY_EPISODE_FRAMES = 3  # a target lost for longer is the tracker's end, and no window shows where it was
# Greatest change of an outline as a share of the target's radius.
GREATEST_SHIFT, GREATEST_CHANGE = 0.6, 0.4


@dataclass(frozen=True)
class Episode:
    """One error of a tracker: its kind and the frames it lasts, first to last (exclusive)."""

    kind: str
    first: int
    last: int


def perturb_masks(masks: np.ndarray, share: float, rng: np.random.Generator) -> tuple[np.ndarray, tuple[Episode, ...]]:
    """Perturb a share of a sequence's masks. The first frame's mask is the prompt, and stays.

    Args:
        masks: (T, H, W) bool.
        share: of the frames after the first, 0 to 1.
    Returns:
        (T, H, W) bool, and the episodes in order of time.
    """
    episodes = draw_episodes(len(masks), share, rng)
    perturbed = masks.copy()
    for episode in episodes:
        _perturb_episode(perturbed, episode, rng)
    return perturbed, episodes


def draw_episodes(frames: int, share: float, rng: np.random.Generator) -> tuple[Episode, ...]:
    """Episodes that cover round(share * (frames - 1)) of the frames after the first, and do not overlap."""
    wanted = round(share * (frames - 1))
    lengths: list[tuple[str, int]] = []
    while wanted > 0:
        kind = str(rng.choice(KINDS))
        length = min(int(rng.geometric(1 / MEAN_EPISODE_FRAMES)), wanted)
        length = min(length, EMPTY_EPISODE_FRAMES) if kind == "empty" else length
        lengths.append((kind, length))
        wanted -= length
    # The frames that stay as they are fall anywhere between the episodes.
    spare = frames - 1 - sum(length for _, length in lengths)
    gaps = np.diff(np.sort(rng.integers(0, spare + 1, size=len(lengths))), prepend=0)
    episodes, position = [], 1
    for gap, (kind, length) in zip(gaps, lengths, strict=False):
        position += int(gap)
        episodes.append(Episode(kind, position, position + length))
        position += length
    return tuple(episodes)


def _perturb_episode(masks: np.ndarray, episode: Episode, rng: np.random.Generator) -> None:
    """Change the masks of one episode in place; empty ones stay empty."""
    length = episode.last - episode.first
    angle = rng.uniform(0, 2 * np.pi)
    strength = rng.uniform(0.3, 1)
    shape = masks.shape[1:]
    start, end = (smooth_field(rng, shape, max(4.0, min(shape) / 16)) for _ in range(2))
    for step, index in enumerate(range(episode.first, episode.last)):
        mask = masks[index]
        if not mask.any():
            continue
        amount = strength * np.sin(np.pi * (step + 1) / (length + 1))
        radius = np.sqrt(mask.sum() / np.pi)
        match episode.kind:
            case "shift":
                masks[index] = _shifted(mask, angle, GREATEST_SHIFT * amount * radius)
            case "grow":
                masks[index] = _moved_outline(mask, max(0.5, GREATEST_CHANGE * amount * radius))
            case "shrink":
                masks[index] = _moved_outline(mask, -max(0.5, GREATEST_CHANGE * amount * radius))
            case "deform":
                # The field glides from one shape to another, so that the outline crawls.
                along = (step + 1) / (length + 1)
                field = (1 - along) * start + along * end
                masks[index] = _moved_outline(mask, GREATEST_CHANGE * amount * radius * field)
            case "drop":
                masks[index] = _without_side(mask, angle, radius * (1 - amount))
            case "empty":
                masks[index] = False


def _shifted(mask: np.ndarray, angle: float, distance_px: float) -> np.ndarray:
    # Whole pixels, at least one, so that no shift leaves the mask as it was.
    offset = np.round(max(1.0, distance_px) * np.array([np.sin(angle), np.cos(angle)]))
    return shift_image(mask, offset, order=0, mode="constant", cval=False)


def _moved_outline(mask: np.ndarray, outwards_px: float | np.ndarray) -> np.ndarray:
    moved = signed_distance(mask) + outwards_px > 0
    return moved if moved.any() else mask


def _without_side(mask: np.ndarray, angle: float, kept_px: float) -> np.ndarray:
    """The mask without what lies further than `kept_px` from its centre in one direction."""
    rows, columns = np.nonzero(mask)
    along = (rows - rows.mean()) * np.sin(angle) + (columns - columns.mean()) * np.cos(angle)
    kept = mask.copy()
    kept[rows[along > kept_px], columns[along > kept_px]] = False
    return kept
