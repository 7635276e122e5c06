"""What reaches SAM2's trainer is what lies on disk, scaled as at inference."""

from __future__ import annotations

import json
import random
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import FRAMES, SPACING_MM, disc_case, write_disc_case, write_disc_dataset, write_objects
from torch.utils.data import DataLoader
from training.dataset.transforms import ComposeAPI, ToTensorAPI
from training.dataset.vos_dataset import VOSDataset, load_images
from training.dataset.vos_sampler import RandomUniformSampler
from training.utils.data_utils import collate_fn

from cinetrack.errors import InputError
from cinetrack.finetuning.clip_dataset import SeededClips, case_clips, phantom_clips
from cinetrack.finetuning.frame_cache import CachedCase, cached
from cinetrack.finetuning.training_case import training_cases
from cinetrack.finetuning.videos import CaseVideos, CineFrame
from cinetrack.sequence import CineSequence
from cinetrack.sequence.intensity import min_max_8bit
from cinetrack.sequence.trackrad_dataset import write_case

PLAIN = [ComposeAPI([ToTensorAPI()])]


def clips_of(folder, tmp_path, frames=3, multiplier=1, pseudo_labels=(), transforms=PLAIN, seed=5, max_objects=3):
    patients = [case.name for case in folder.iterdir()]
    sampler = RandomUniformSampler(frames, max_objects)
    cache = str(tmp_path / "cache")
    return case_clips([str(folder)], [str(p) for p in pseudo_labels], patients, cache, multiplier, sampler, transforms,
                      seed)  # fmt: skip


def write_pseudo_labels(folder, case_id, objects, accepted):
    write_objects(folder / case_id / "masks.mha", objects)
    (folder / case_id / "meta.json").write_text(json.dumps({"case_id": case_id, "accepted_frames": accepted}))


def frame_indices(datapoint):
    return [frame.objects[0].frame_index for frame in datapoint.frames]


def test_upstream_sees_all_256_levels_as_they_are():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    (picture,) = load_images([CineFrame(0, levels)])
    assert isinstance(picture, Image.Image) and picture.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(picture), np.repeat(levels[0][..., None], 3, axis=2))


@given(st.integers(0, 2**32 - 1), st.sampled_from([np.uint8, np.uint16, np.int16, np.float32]))
def test_upstream_sees_the_8_bit_frame_of_inference_whatever_the_scanners_units(seed, kind):
    raw = (np.random.default_rng(seed).normal(90, 25, (2, 9, 7))).clip(0).astype(kind)
    scaled = np.stack([min_max_8bit(frame) for frame in raw])
    for index in range(2):
        (picture,) = load_images([CineFrame(index, scaled)])
        np.testing.assert_array_equal(np.asarray(picture)[..., 1], min_max_8bit(raw[index]))


def test_a_clip_holds_the_files_own_frames_and_masks_rows_before_columns(tmp_path):
    write_disc_dataset(tmp_path / "data", 2)
    clips = clips_of(tmp_path / "data", tmp_path)
    for number, datapoint in enumerate([clips[0], clips[1]]):
        series, masks = disc_case(number)
        indices = frame_indices(datapoint)
        assert indices == list(range(indices[0], indices[0] + 3))
        for frame, index in zip(datapoint.frames, indices, strict=True):
            expected = torch.from_numpy(min_max_8bit(series[index]).astype(np.float32) / 255)
            assert frame.data.shape == (3, 72, 56)
            for channel in frame.data:
                assert torch.equal(channel, expected)
            (found,) = frame.objects
            assert found.segment.dtype == torch.uint8 and found.object_id == 1
            np.testing.assert_array_equal(found.segment.numpy(), masks[index])


def test_a_clip_of_several_objects_has_a_mask_for_each_and_zeros_where_one_is_absent(tmp_path):
    series, masks = disc_case(0)
    objects = masks.astype(np.uint8)
    objects[:, 3:12, 40:50] = 7
    objects[3:, 3:12, 40:50] = 0  # object 7 leaves
    objects[2, 60:66, 5:9] = 2  # object 2 comes when the clip has begun: no prompt, no target
    folder = tmp_path / "data"
    case = write_case(folder, "A", CineSequence(series, SPACING_MM, 4.0, 0.35, "abdomen"), masks)
    write_objects(case / "targets/A_labels.mha", objects)
    clips = clips_of(folder, tmp_path, frames=FRAMES)
    datapoint = clips[0]
    assert {found.object_id for found in datapoint.frames[0].objects} == {1, 7}
    for index, frame in enumerate(datapoint.frames):
        assert [o.object_id for o in frame.objects] == [o.object_id for o in datapoint.frames[0].objects]
        for found in frame.objects:
            np.testing.assert_array_equal(found.segment.numpy(), objects[index] == found.object_id)
    assert not any(o.segment.any() for frame in datapoint.frames[3:] for o in frame.objects if o.object_id == 7)
    batch = collate_fn([datapoint], dict_key="all")
    assert batch.masks.shape == (FRAMES, 2, 72, 56) and batch.masks[0].any(dim=(1, 2)).all()
    assert len(clips_of(folder, tmp_path, frames=FRAMES, max_objects=1)[0].frames[0].objects) == 1


def test_pseudo_labels_are_trained_on_in_accepted_frames_only(tmp_path):
    series, masks = disc_case(1, frames=12)
    folder, labels = tmp_path / "data", tmp_path / "pseudo"
    write_case(folder, "U", CineSequence(series, SPACING_MM, 4.0, 0.35, "abdomen"), None)
    objects = masks.astype(np.uint8)
    objects[:, :5, :5] = 2
    accepted = [0, 1, 4, 5, 6, 9, 11]
    write_pseudo_labels(labels, "U", objects, [11, 0, 1, 4, 5, 6, 9, 9])
    clips = clips_of(folder, tmp_path, pseudo_labels=[labels], multiplier=40)
    assert len(clips) == 40
    seen = set()
    for number in range(40):
        datapoint = clips[number]
        indices = frame_indices(datapoint)
        start = accepted.index(indices[0])
        assert indices == accepted[start : start + 3]
        seen.update(indices)
        for frame, index in zip(datapoint.frames, indices, strict=True):
            for found in frame.objects:
                np.testing.assert_array_equal(found.segment.numpy(), objects[index] == found.object_id)
    assert seen == set(accepted)


def test_labels_of_every_frame_go_before_pseudo_labels(tmp_path):
    folder = write_disc_dataset(tmp_path / "data", 1)
    write_pseudo_labels(tmp_path / "pseudo", "D_000", np.ones((FRAMES, 72, 56)), [0])
    with pytest.raises(InputError, match="expected a folder of pseudo-labels, found none"):
        training_cases([folder], [tmp_path / "no folder"])
    write_case(folder, "U", CineSequence(disc_case(1)[0], SPACING_MM, 4.0, 0.35, "abdomen"), None)
    write_pseudo_labels(tmp_path / "pseudo", "U", np.ones((FRAMES, 72, 56)), [0, 1, 2])
    cases = training_cases([folder], [tmp_path / "pseudo"])
    assert [(case.case.case_id, case.is_pseudo_labelled) for case in cases] == [("D_000", False), ("U", True)]


def test_a_clip_begins_where_an_object_shows_however_seldom_that_is():
    showing = frozenset({4321})
    case = CachedCase("long", "long", None, tuple(range(5000)), showing)
    assert case.clip_starts(8) == [4321]
    assert case.clip_starts(5000 - 4321) == [4321] and case.clip_starts(5000 - 4321 + 1) == []


@given(
    accepted=st.sets(st.integers(0, 30), max_size=20).map(sorted),
    shown=st.sets(st.integers(0, 30)),
    length=st.integers(2, 9),
)
def test_clip_starts_are_all_places_that_leave_room_and_show_an_object(accepted, shown, length):
    case = CachedCase("a", "a", None, tuple(accepted), frozenset(shown & set(accepted)))
    expected = [s for s in range(len(accepted)) if s + length <= len(accepted) and accepted[s] in shown]
    assert case.clip_starts(length) == expected


def test_a_drawn_clip_of_a_long_series_begins_with_its_rare_object(tmp_path):
    series = np.random.default_rng(0).integers(0, 999, (1500, 20, 16)).astype(np.uint16)
    masks = np.zeros(series.shape, bool)
    masks[1200, 4:9, 3:8] = True
    write_case(tmp_path / "data", "L", CineSequence(series, (1, 1), 4.0, 0.35, "thorax"), masks)
    clips = clips_of(tmp_path / "data", tmp_path, multiplier=3)
    assert [frame_indices(clips[index])[0] for index in range(3)] == [1200] * 3


def test_a_cache_is_made_anew_when_its_source_changes_and_only_then(tmp_path):
    folder = write_disc_case(tmp_path / "data", "A", 0)
    (case,) = training_cases([tmp_path / "data"])
    first = cached(case, tmp_path / "cache")
    before = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    assert cached(case, tmp_path / "cache") == first
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == before
    frames, objects = first.open()
    assert not frames.flags.writeable and isinstance(objects, np.memmap)
    write_objects(folder / "targets/A_labels.mha", np.zeros((FRAMES, 72, 56)))
    second = cached(case, tmp_path / "cache")
    assert second.folder != first.folder and not second.showing and first.showing == set(range(FRAMES))


def test_an_interrupted_cache_is_finished(tmp_path):
    write_disc_case(tmp_path / "data", "A", 0)
    (case,) = training_cases([tmp_path / "data"])
    whole = cached(case, tmp_path / "cache")
    (whole.folder / "case.json").unlink()
    (whole.folder / "objects.npy").write_bytes(b"half")
    again = cached(case, tmp_path / "cache")
    assert again == whole
    np.testing.assert_array_equal(again.open()[1], disc_case(0)[1])


def augmented(folder, tmp_path, seed=5):
    from hydra.utils import instantiate

    from cinetrack.finetuning.training_config import mose_recipe

    config = mose_recipe()
    config.scratch.resolution = 64
    transforms = [instantiate(config.vos.train_transforms[0], _convert_="all")]
    return clips_of(folder, tmp_path, multiplier=4, transforms=transforms, seed=seed)


def assert_equal_clips(found, expected):
    for one, other in zip(found.frames, expected.frames, strict=True):
        assert torch.equal(one.data, other.data)
        assert [o.frame_index for o in one.objects] == [o.frame_index for o in other.objects]
        assert all(torch.equal(a.segment, b.segment) for a, b in zip(one.objects, other.objects, strict=True))


def test_a_clip_depends_on_seed_epoch_and_index_alone(tmp_path):
    folder = write_disc_dataset(tmp_path / "data", 2)
    clips = augmented(folder, tmp_path)
    first = [clips[index] for index in range(8)]
    random.seed(99), np.random.seed(98), torch.manual_seed(97)
    for index in reversed(range(8)):
        assert_equal_clips(augmented(folder, tmp_path)[torch.tensor(index)], first[index])
    pictures = [clip.frames[0].data for clip in first]
    assert not any(torch.equal(a, b) for i, a in enumerate(pictures) for b in pictures[:i])
    clips.set_epoch(1)
    assert not torch.equal(clips[0].frames[0].data, pictures[0])
    assert not torch.equal(augmented(folder, tmp_path, seed=6)[0].frames[0].data, pictures[0])


def test_drawing_a_clip_leaves_the_global_generators_as_they_were(tmp_path):
    clips = augmented(write_disc_dataset(tmp_path / "data", 1), tmp_path)
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    expected = random.random(), np.random.rand(), torch.rand(1)
    random.seed(1), np.random.seed(2), torch.manual_seed(3)
    clips[0]
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected


@pytest.mark.parametrize("workers", [1, 2])
def test_clips_are_the_same_whatever_the_number_of_workers(workers, tmp_path):
    clips = augmented(write_disc_dataset(tmp_path / "data", 2), tmp_path)
    loader = DataLoader(clips, batch_size=None, num_workers=workers, collate_fn=lambda clip: clip)
    for index, clip in enumerate(loader):
        assert_equal_clips(clip, clips[index])


def test_our_dataset_is_upstreams_but_for_the_seeds(tmp_path):
    folder = write_disc_dataset(tmp_path / "data", 1)
    clips = clips_of(folder, tmp_path, frames=FRAMES)  # one possible clip, so that there is nothing to draw
    cases = [cached(case, tmp_path / "cache") for case in training_cases([folder])]

    class Unseeded(CaseVideos):
        def get_video(self, idx):
            return super().get_video(idx, np.random.default_rng(0))

    stock = VOSDataset(PLAIN, True, Unseeded(cases, FRAMES, 1), RandomUniformSampler(FRAMES, 3), 1)
    assert isinstance(clips, SeededClips) and issubclass(SeededClips, VOSDataset)
    assert_equal_clips(clips[0], stock[0])


def test_phantom_clips_are_drawn_anew_every_epoch_and_equal_for_equal_seeds():
    def made(epoch):
        clips = phantom_clips(2, [130, 150], {"structures": 2}, RandomUniformSampler(2, 3), PLAIN, 5)
        clips.set_epoch(epoch)
        return clips[1]

    assert_equal_clips(made(0), made(0))
    shape = made(0).frames[0].data.shape
    assert shape[1] == shape[2] and 130 <= shape[1] <= 150
    levels = made(0).frames[1].data * 255
    assert levels.min() == 0 and levels.max() == 255 and torch.equal(levels, levels.round())
    other = made(1)
    assert shape != other.frames[0].data.shape or not torch.equal(other.frames[0].data, made(0).frames[0].data)


def test_two_datasets_may_not_both_have_a_case(tmp_path):
    first = write_disc_dataset(tmp_path / "one", 1)
    shutil.copytree(first, tmp_path / "two")
    with pytest.raises(InputError, match="expected each case once, found D_000"):
        training_cases([first, tmp_path / "two"])
