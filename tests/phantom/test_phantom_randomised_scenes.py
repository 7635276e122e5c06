"""Scenes without anatomy: varied, and mixed in by the share asked for."""

import numpy as np

from cinetrack.phantom.case import MARGIN_PX
from cinetrack.phantom.domain_randomisation import HOST, random_anatomy
from cinetrack.phantom.draws import PhantomRequest, draw_parameters
from cinetrack.phantom.targets import View

SHAPE = (130, 150)
CANVAS = tuple(side + 2 * MARGIN_PX for side in SHAPE)


def test_scenes_differ_in_grey_and_shape_and_hold_lesions_anywhere():
    scenes = [
        random_anatomy(np.random.default_rng(seed), CANVAS, View(MARGIN_PX, MARGIN_PX, SHAPE)) for seed in range(12)
    ]
    means = [scene.viscera[..., 0].mean() for scene in scenes]
    assert np.std(means) > 0.08
    for scene in scenes:
        assert scene.viscera.shape == (*CANVAS, 2) and scene.wall.shape == CANVAS
        assert np.isfinite(scene.viscera).all() and scene.viscera.min() >= 0
        assert scene.viscera[..., 0].std() > 0.02
        assert (scene.hosts[HOST].distance_px > 0).all()
        assert all(organ.shape.area_px > 0 for organ in scene.organs)
    assert len({len(scene.organs) for scene in scenes}) > 3


def test_the_share_of_randomised_cases_is_the_one_asked_for():
    def share(wanted):
        request = PhantomRequest(randomised_share=wanted)
        planes = [draw_parameters(np.random.default_rng(seed), request).plane for seed in range(300)]
        return np.mean([plane == "random" for plane in planes])

    assert share(0.0) == 0 and share(1.0) == 1
    assert abs(share(0.3) - 0.3) < 0.08
