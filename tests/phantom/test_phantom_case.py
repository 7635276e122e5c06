"""Whole cases: labels follow the known displacement, parameters keep their ranges, requests are honoured."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from cinetrack.errors import InputError
from cinetrack.phantom.case import MARGIN_PX, draw_case, prepare_case, render_case
from cinetrack.phantom.draws import PhantomRequest, draw_parameters
from cinetrack.phantom.motion import grid_shape
from cinetrack.phantom.parameters import Ranged, ranges_of
from cinetrack.phantom.rendering import Moment, shrinkage

SHAPE = (140, 160)


def ranged_values(parameters):
    for entry in dataclasses.fields(parameters):
        value = getattr(parameters, entry.name)
        if isinstance(value, Ranged):
            yield from ranged_values(value)
        elif entry.name in ranges_of(type(parameters)):
            yield entry.name, value, ranges_of(type(parameters))[entry.name]


@given(
    seed=st.integers(0, 2**31),
    field=st.sampled_from([None, 0.35, 1.5]),
    region=st.sampled_from([None, "thorax", "abdomen", "pelvis"]),
    difficulty=st.sampled_from([None, "easy", "middle", "hard"]),
)
@settings(max_examples=150, deadline=None)
def test_every_drawn_parameter_keeps_its_range_and_what_was_asked_for(seed, field, region, difficulty):
    request = PhantomRequest(field_strength_t=field, region=region, difficulty=difficulty)
    parameters = draw_parameters(np.random.default_rng(seed), request)
    values = list(ranged_values(parameters))
    assert len(values) > 30
    for name, value, (low, high) in values:
        assert low <= value <= high, name
    assert field in (None, parameters.field_strength_t)
    assert region in (None, parameters.region)
    assert difficulty in (None, parameters.difficulty)
    assert parameters.acquisition.resolution_mm in (2.4, 3.5) or parameters.field_strength_t == 1.5


def test_a_parameter_out_of_range_is_refused_by_name():
    parameters = draw_parameters(np.random.default_rng(0), PhantomRequest())
    with pytest.raises(InputError, match="phantom snr: expected 8 to 80, found 3"):
        dataclasses.replace(parameters.acquisition, snr=3)
    with pytest.raises(InputError, match="phantom height_px: expected 125 to 400, found 90"):
        PhantomRequest(shape=(90, 200))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"region": "brain"}, "phantom region: expected one of thorax, abdomen, pelvis, found brain"),
        ({"field_strength_t": 3.0}, "field strength: expected one of 0.35, 1.5, found 3.0"),
        ({"difficulty": "cruel"}, "difficulty: expected one of easy, middle, hard"),
        ({"randomised_share": 1.5}, "randomised share: expected 0 to 1"),
        ({"largest_target_mm": 9.0}, "phantom largest target: expected 15.0 to 90.0 mm, found 9.0"),
        ({"largest_target_mm": 91.0}, "phantom largest target: expected 15.0 to 90.0 mm, found 91.0"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        PhantomRequest(**wrong)


def case_of(seed, **request):
    return draw_case(
        np.random.default_rng([4711, seed]), PhantomRequest(frames=8, shape=SHAPE, frame_rate_hz=2.0, **request)
    )


@pytest.mark.parametrize("randomised", [0.0, 1.0])
def test_no_target_is_larger_than_asked_for(randomised):
    shares = []
    for seed in range(8):
        case = case_of(seed, difficulty="hard", largest_target_mm=20.0, randomised_share=randomised)
        assert case.parameters.target.diameter_mm <= 20
        shares.append(case.masks[0, 0].sum() / (np.pi * 10**2))
    assert 0 < max(shares) < 1.15  # pixels, and what the target's own deformation adds


@pytest.fixture(scope="module")
def cases():
    """Two dozen cases of every difficulty, with and without anatomy."""
    levels = ["easy", "middle", "hard"]
    return [case_of(seed, difficulty=levels[seed % 3], randomised_share=0.25) for seed in range(24)]


def whole_and_plain(case) -> bool:
    """The target never meets the image's border, nor changes its section by through-plane motion."""
    target = case.masks[:, 0]
    border = np.ones(SHAPE, bool)
    border[3:-3, 3:-3] = False
    parameters = case.parameters.target
    return not (target & border).any() and parameters.through_plane_mm == 0 and parameters.hidden_s == 0


def test_labels_follow_the_known_displacement(cases):
    # Without anatomy, an organ of any size may lie partly behind the wall.
    plain = [
        case
        for case in cases
        if whole_and_plain(case) and "shape" not in case.parameters.target.kind.removesuffix("shape_lesion")
    ]
    assert len(plain) >= 6
    for case in plain:
        centres = np.array([ndimage.center_of_mass(mask) for mask in case.masks[:, 0]])
        error = np.hypot(*(centres - centres[0] - case.displacement_px).T)
        # The centre is followed as a point; a large target's ends move a little differently.
        assert error.max() < 0.5 + 0.04 * case.parameters.target.diameter_mm, case.parameters.target


def test_lesions_keep_their_area_and_stay_in_one_piece(cases):
    plain = [case for case in cases if whole_and_plain(case) and case.parameters.target.kind.endswith("_lesion")]
    assert len(plain) >= 3
    for case in plain:
        area = case.masks[:, 0].sum(axis=(1, 2))
        assert (np.abs(area / area[0] - 1) < 0.35).all()
        assert all(ndimage.label(mask)[1] == 1 for mask in case.masks[:, 0])
        assert area[0] == pytest.approx(np.pi / 4 * case.parameters.target.diameter_mm**2, rel=0.3)


def test_no_target_moves_more_than_asked_for_or_40_mm(cases):
    for case in cases:
        peak = np.hypot(*case.displacement_px.T).max()
        assert peak <= min(40.0, case.parameters.motion.peak_displacement_mm) + 0.1
        assert (case.displacement_px[0] == 0).all()


def test_every_case_shows_its_target_first_and_mostly(cases):
    for case in cases:
        shown = case.masks[:, 0].any(axis=(1, 2))
        assert case.masks[0, 0].sum() >= 25 and shown.mean() >= 0.7


def test_frames_have_contrast_noise_and_fit_their_type(cases):
    for case in cases:
        assert case.frames.dtype == np.uint16 and case.frames.shape == (8, *SHAPE)
        for frame in case.frames:
            assert frame.std() > 0.05 * frame.mean() and len(np.unique(frame)) > 30
        assert (case.frames[0] != case.frames[1]).mean() > 0.3


def test_mirroring_reflects_frames_labels_and_the_known_displacement():
    parameters = draw_parameters(np.random.default_rng(8), PhantomRequest(frames=4, shape=SHAPE, region="abdomen"))
    rendered = []
    for mirrored in (False, True):
        rng = np.random.default_rng(9)
        prepared = prepare_case(rng, dataclasses.replace(parameters, mirrored=mirrored))
        rendered.append(render_case(rng, prepared))
    straight, reflected = rendered
    np.testing.assert_array_equal(straight.frames[..., ::-1], reflected.frames)
    np.testing.assert_array_equal(straight.masks[..., ::-1], reflected.masks)
    np.testing.assert_array_equal(straight.displacement_px * [1, -1], reflected.displacement_px)


def test_a_rigid_shift_moves_image_and_masks_by_exactly_that():
    parameters = draw_parameters(np.random.default_rng(3), PhantomRequest(frames=4, shape=SHAPE, region="abdomen"))
    scene = prepare_case(np.random.default_rng(4), parameters, structures=3).scene
    still = np.zeros((*grid_shape(SHAPE), 2), np.float32)
    shift = still + np.float32([5, -7])
    at_rest, moved = (Moment(grid, grid, 0.0, 0.0) for grid in (still, shift))
    inner = (slice(10, -10), slice(10, -10))
    np.testing.assert_allclose(
        np.roll(scene.image(at_rest), (5, -7), (0, 1))[inner], scene.image(moved)[inner], atol=2e-3
    )
    np.testing.assert_array_equal(
        np.roll(scene.masks(at_rest), (5, -7), (1, 2))[(slice(None), *inner)], scene.masks(moved)[(slice(None), *inner)]
    )


def test_viscera_slide_along_the_wall():
    parameters = draw_parameters(np.random.default_rng(3), PhantomRequest(frames=4, shape=SHAPE, region="abdomen"))
    scene = prepare_case(np.random.default_rng(4), parameters).scene
    still = np.zeros((*grid_shape(SHAPE), 2), np.float32)
    before, after = (scene.image(Moment(grid, still, 0.0, 0.0)) for grid in (still, still + np.float32([9, 0])))
    cavity = scene.anatomy.cavity_px[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    changed = np.abs(after - before)
    assert changed[cavity < -2].max() == 0
    assert changed[cavity > 6].mean() > 0.02


@given(radius=st.floats(2, 40), distance=st.floats(0, 50))
def test_a_balls_section_shrinks_as_a_spheres(radius, distance):
    left = radius - shrinkage(radius, distance)
    if distance < radius:
        assert left**2 + distance**2 == pytest.approx(radius**2, rel=1e-6)
    else:
        assert left == -np.inf


def test_through_plane_motion_shrinks_and_hides_a_lesion_but_never_on_the_first_frame():
    hidden = shrunk = 0
    for seed in range(60):
        rng = np.random.default_rng([99, seed])
        parameters = draw_parameters(rng, PhantomRequest(frames=16, shape=SHAPE, difficulty="hard", frame_rate_hz=2.0))
        wanted = dataclasses.replace(parameters.target, through_plane_mm=8.0, hidden_s=1.5, cut_by_border=False)
        prepared = prepare_case(rng, dataclasses.replace(parameters, target=wanted))
        if prepared is None or not prepared.parameters.target.hidden_s:
            continue
        assert prepared.through_plane_mm[0] == 0
        radius = prepared.parameters.target.diameter_mm / 2
        gone = np.abs(prepared.through_plane_mm) >= radius
        assert gone.sum() <= 5
        hidden += gone.any()
        shrunk += (np.abs(prepared.through_plane_mm[~gone]) > 0.2 * radius).any()
        if hidden >= 2 and shrunk >= 2:
            return
    pytest.fail("no hidden lesion in 60 draws")
