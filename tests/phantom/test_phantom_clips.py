"""Training clips: equal generators give equal clips, masks and displacement are as configured."""

import numpy as np
import pytest

from cinetrack.errors import InputError
from cinetrack.phantom.clips import ClipConfig, PhantomClips


def test_equal_generators_give_equal_clips_and_the_sampler_keeps_no_state():
    clips = PhantomClips(ClipConfig())
    first = clips.sample(np.random.default_rng(11), frames=3, size=128)
    clips.sample(np.random.default_rng(12), frames=2, size=128)
    again = clips.sample(np.random.default_rng(11), frames=3, size=128)
    other = clips.sample(np.random.default_rng(13), frames=3, size=128)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("randomised_share", [0.0, 1.0])
def test_a_clip_has_frames_and_up_to_k_masks_and_its_first_target_on_frame_0(randomised_share):
    clips = PhantomClips(ClipConfig(randomised_share=randomised_share, structures=3, visible_on_all_frames=True))
    counts = set()
    for seed in range(6):
        frames, masks = clips.sample(np.random.default_rng(seed), frames=4, size=(132, 150))
        assert frames.shape == (4, 132, 150) and frames.dtype == np.uint16
        assert masks.shape[0] == 4 and masks.shape[2:] == (132, 150) and masks.dtype == np.bool_
        assert masks[:, 0].any(axis=(1, 2)).all() and masks[0, 0].sum() >= 25
        counts.add(masks.shape[1])
    assert counts <= {1, 2, 3} and max(counts) > 1


def test_copying_the_first_mask_scores_badly_where_displacement_is_large():
    def dice_of_copying(displacement_px):
        clips = PhantomClips(ClipConfig(displacement_px=displacement_px, still_share=0.0, difficulty="easy"))
        scores = []
        for seed in range(10):
            _, masks = clips.sample(np.random.default_rng([5, seed]), frames=5, size=160)
            target = masks[:, 0]
            overlap = (target & target[0]).sum(axis=(1, 2))
            scores.append((2 * overlap / (target.sum(axis=(1, 2)) + target[0].sum())).min())
        return np.mean(scores)

    assert dice_of_copying((16.0, 32.0)) < 0.55 < 0.85 < dice_of_copying((0.0, 1.5))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"displacement_px": (10, 5)}, "clip displacement"),
        ({"displacement_px": (0, 90)}, "clip displacement"),
        ({"frame_rate_hz": (0.1, 4)}, "clip frame rate"),
        ({"still_share": 2.0}, "clips: expected a share"),
        ({"structures": 0}, "clips: expected a share"),
    ],
)
def test_a_bad_configuration_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        ClipConfig(**wrong)


def test_a_bad_clip_size_is_refused():
    with pytest.raises(InputError, match="1 frame or more, found 0"):
        PhantomClips().sample(np.random.default_rng(0), frames=0)
    with pytest.raises(InputError, match="phantom height_px: expected 125 to 400, found 64"):
        PhantomClips().sample(np.random.default_rng(0), frames=2, size=64)
