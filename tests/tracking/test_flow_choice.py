"""Which flow is taken: the first, unless the target's surroundings say otherwise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy import ndimage
from stub_sources import registration

from cinetrack.evaluation.dice import dice_coefficients
from cinetrack.tracking.stabilisation.flow_choice import CORRELATION_MARGIN, NEAR_PX, ChosenFlow
from cinetrack.tracking.stabilisation.optical_flow import FLOWS, FlowSearch, pixel_grid, sampled

SHAPE = (120, 104)


class GivenFlow(FlowSearch):
    """A search that finds what it is told."""

    def __init__(self, flow: np.ndarray) -> None:
        super().__init__(np.zeros(SHAPE, np.uint8), FLOWS["flexible"])
        self.given, self.starts = flow, []

    def search(self, latest, reference, start):
        self.starts.append(start)
        return self.given


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    texture = ndimage.gaussian_filter(np.random.default_rng(2).normal(size=SHAPE), 2)
    return np.clip(120 + 40 * texture / texture.std(), 0, 255).astype(np.uint8)


def disc(row: int, column: int, radius: int = 8) -> np.ndarray:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(rows - row, columns - column) < radius


def shifted(tissue: np.ndarray, pixels: float) -> np.ndarray:
    """The tissue moved down; the flow that leads back is (0, -pixels)."""
    flow = np.zeros((*SHAPE, 2), np.float32)
    flow[..., 1] = -pixels
    return sampled(tissue.astype(np.float32), pixel_grid(SHAPE) + flow, cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def back(pixels: float) -> np.ndarray:
    return np.dstack([np.zeros(SHAPE), np.full(SHAPE, -pixels)]).astype(np.float32)


def chosen(tissue: np.ndarray, flows: list[np.ndarray], *watched: np.ndarray) -> int:
    """Which of the flows is taken on a frame that has moved down by 5 px."""
    choice = ChosenFlow([GivenFlow(flow) for flow in flows], tissue)
    for mask in watched:
        choice.watch(mask)
    choice.step(shifted(tissue, 5))
    return next(index for index, flow in enumerate(flows) if choice.flow is flow)


def test_the_flow_that_shows_the_surroundings_as_they_were_is_taken_wherever_it_comes(tissue):
    target = disc(60, 50)
    assert chosen(tissue, [back(0), back(5), back(9)], target) == 1
    assert chosen(tissue, [back(5), back(0)], target) == 0
    assert chosen(tissue, [back(0), back(9), back(5)], target) == 2


def test_of_flows_that_are_equally_good_the_first_is_taken(tissue):
    assert chosen(tissue, [back(5.1), back(5)], disc(60, 50)) == 0  # the second is better by less than the margin
    assert CORRELATION_MARGIN > 0


def test_what_lies_far_from_the_target_does_not_count(tissue):
    """Two flows, one right in the upper half and one in the lower."""
    rows = np.arange(SHAPE[0])[:, None, None]
    upper, lower = (np.where(right, back(5), back(-4)).astype(np.float32) for right in (rows < 60, rows >= 60))
    far = NEAR_PX + 8 + 12
    assert chosen(tissue, [lower, upper], disc(60 - far, 50)) == 1
    assert chosen(tissue, [upper, lower], disc(60 + far, 50)) == 1


def test_without_a_target_the_first_flow_is_taken(tissue):
    assert chosen(tissue, [back(0), back(5)]) == 0
    assert chosen(tissue, [back(0), back(5)], np.zeros(SHAPE, bool)) == 0


def test_each_search_starts_from_what_it_found_itself(tissue):
    searches = [GivenFlow(back(0)), GivenFlow(back(5))]
    choice = ChosenFlow(searches, tissue)
    choice.watch(disc(60, 50))
    twin = choice.copy()
    for _ in range(2):
        choice.step(shifted(tissue, 5))
    assert [search.starts for search in searches] == [[None, search.given] for search in searches]
    assert twin.flow is None
    twin.step(shifted(tissue, 5))
    assert searches[0].starts[-1] is None and twin.flow is choice.flow


@pytest.mark.parametrize("pixels", [1.5, 2.0, 3.0])
def test_a_small_target_that_moves_by_itself_is_kept_better_than_by_the_smooth_flow(pixels):
    rng = np.random.default_rng(0)
    texture = ndimage.gaussian_filter(rng.normal(size=(140, 130)), 4)
    rows, columns = np.mgrid[:140, :130]
    masks = [np.hypot(rows - 50 - pixels * t, columns - 60) < 5 for t in range(8)]
    frames = [
        np.clip(100 + 12 * texture / texture.std() + 60 * ndimage.gaussian_filter(mask.astype(float), 0.7), 0, 255)
        + rng.normal(0, 4, mask.shape)
        for mask in masks
    ]
    dice = []
    for flows in (("smooth",), ("smooth", "flexible")):
        session = registration(*flows).start(frames[0], masks[0])
        found = np.stack([session.step(frame).mask for frame in frames[1:]])
        dice.append(dice_coefficients(found, np.stack(masks[1:])).mean())
    assert dice[1] > dice[0] + 0.02
