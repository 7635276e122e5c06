"""One person's work on a sequence: masks from boxes, corrections, propagation, undo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinetrack import load_model
from cinetrack.errors import InputError
from cinetrack.labelling.segmenters import ClassicalSegmenter, grabcut
from cinetrack.labelling.turns import Turns
from cinetrack.labelling.workspace import Draft, Workspace, stroke_mask
from cinetrack.sequence import find_cases
from cinetrack.tracking import BoxPrompt, PointPrompt

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
DISC, CORNER = BoxPrompt(18, 14, 38, 34), BoxPrompt(2, 36, 18, 52)


@pytest.fixture
def workspace(dataset):
    chain = load_model(RESOURCES / "registration").chain
    made = Workspace(find_cases(dataset)[0], chain, ClassicalSegmenter("grabcut", grabcut), Turns())
    yield made
    made.close()


def test_each_box_becomes_an_object_and_moving_one_leaves_the_other(workspace, moving_disc):
    workspace.draw_boxes([DISC, CORNER])
    assert not workspace.masks_are_current
    workspace.make_masks()
    assert workspace.masks_are_current
    first, second = (workspace.mask_of(0, number) for number in (1, 2))
    assert (first & moving_disc[1][0]).sum() > 0.9 * moving_disc[1][0].sum()
    workspace.draw_boxes([DISC, BoxPrompt(50, 30, 70, 54)])
    workspace.make_masks()
    np.testing.assert_array_equal(workspace.mask_of(0, 1), first)
    assert not np.array_equal(workspace.mask_of(0, 2), second)


def test_propagation_fills_every_frame_and_can_be_cancelled_and_resumed(workspace, moving_disc):
    workspace.draw_boxes([DISC])
    done = []
    for frames in workspace.propagate():
        done.append(frames)
        if frames == 4:
            workspace.cancelled.set()
    assert done == [1, 2, 3, 4] and not workspace.track_is_current
    assert list(workspace.propagate())[-1] == 8 and workspace.track_is_current
    assert (workspace.mask_of(7, 1) & moving_disc[1][7]).sum() > 0.8 * moving_disc[1][7].sum()


def test_a_correction_outdates_the_frames_from_it_on_and_undo_takes_it_back(workspace):
    workspace.draw_boxes([DISC])
    list(workspace.propagate())
    old = [workspace.objects_on(frame) for frame in range(8)]
    workspace.paint(4, 1, [(60.0, 10.0), (60.0, 20.0)], 2.0, erase=False)
    assert not workspace.track_is_current
    assert workspace.objects_on(4)[60, 15] == 1 and (workspace.objects_on(4)[old[4] == 1] == 1).all()
    redone = list(workspace.propagate())
    assert redone[0] > 1 and workspace.track_is_current
    np.testing.assert_array_equal(workspace.objects_on(3), old[3])
    assert workspace.objects_on(5)[58:63, 12:18].any()
    assert workspace.undo() and not workspace.track_is_current
    list(workspace.propagate())
    for frame in range(8):
        np.testing.assert_array_equal(workspace.objects_on(frame), old[frame])


def test_undo_goes_back_step_by_step_to_an_empty_frame(workspace):
    workspace.draw_boxes([DISC])
    workspace.make_masks()
    mask = workspace.mask_of(0, 1)
    workspace.paint(0, 1, [(28.0, 24.0)], 4.0, erase=True)
    assert not workspace.mask_of(0, 1)[28, 24]
    workspace.clear()
    assert workspace.draft.boxes == ()
    for _ in range(2):
        workspace.undo()
    np.testing.assert_array_equal(workspace.mask_of(0, 1), mask)
    assert workspace.undo() and workspace.undo() and not workspace.undo()
    assert workspace.draft.boxes == () and workspace.objects_on(0) is None


def test_what_was_brushed_survives_another_box(workspace):
    workspace.draw_boxes([DISC])
    workspace.make_masks()
    workspace.paint(0, 1, [(44.0, 24.0)], 2.0, erase=False)
    workspace.draw_boxes([CORNER, DISC])
    workspace.make_masks()
    assert workspace.mask_of(0, 2)[44, 24] and workspace.mask_of(0, 1)[CORNER.top + 8, CORNER.left + 8]


def test_corrections_follow_their_object_when_boxes_are_renumbered_and_go_with_its_box(workspace):
    workspace.draw_boxes([CORNER, DISC])
    list(workspace.propagate())
    workspace.correct(3, 2, PointPrompt(((30.0, 28.0),), (True,)))
    workspace.draw_boxes([DISC])
    workspace.make_masks()
    assert [(given.frame, given.object_number) for given in workspace.draft.prompts] == [(0, 1), (3, 1)]
    workspace.draw_boxes([CORNER])
    workspace.make_masks()
    assert [(given.frame, given.object_number) for given in workspace.draft.prompts] == [(0, 1)]


def test_a_box_on_a_later_frame_starts_a_new_object(workspace):
    workspace.draw_boxes([DISC])
    list(workspace.propagate())
    workspace.correct(3, 2, CORNER)
    list(workspace.propagate())
    assert workspace.mask_of(2, 2) is None and workspace.mask_of(7, 2).any()
    assert workspace.draft.object_count == 2


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda w: w.make_masks(), "expected 1 to 5"),
        (lambda w: w.draw_boxes([DISC] * 6), "at most 5"),
        (lambda w: w.correct(2, 1, DISC), "press Masks"),
        (
            lambda w: (w.draw_boxes([DISC]), w.make_masks(), w.correct(0, 3, DISC)),
            "expected 1 to 1 on this frame, found 3",
        ),
        (lambda w: (w.draw_boxes([DISC]), w.make_masks(), w.paint(0, 1, [(28, 24)], 99, True)), "eraser"),
        (lambda w: (w.draw_boxes([DISC]), w.make_masks(), w.paint(0, 1, [(float("nan"), 1)], 2, False)), "brush"),
        (lambda w: (w.draw_boxes([DISC, BoxPrompt(18, 14, 38, 34.001)]), w.make_masks()), "wholly under another"),
    ],
)
def test_what_cannot_be_done_is_said(workspace, act, message):
    with pytest.raises(InputError, match=message):
        act(workspace)


def test_a_draft_of_another_sequence_is_refused(workspace, dataset):
    workspace.draw_boxes([DISC])
    workspace.make_masks()
    draft = workspace.draft
    with pytest.raises(InputError, match="another"):
        workspace.restore(Draft(draft.boxes, draft.prompts, ()))


def test_a_brush_stroke_is_a_line_of_its_width():
    mask = stroke_mask([(5.5, 2.5), (5.5, 12.5)], 1.0, (11, 16))
    assert mask[5, 2:13].all() and mask[4:7, 5].all() and not mask[3, 5] and not mask[5, 15]


@given(st.lists(st.tuples(st.floats(-9, 40), st.floats(-9, 40)), min_size=1, max_size=6), st.floats(0.5, 9))
def test_a_brush_stroke_holds_the_pixels_near_its_line_and_no_others(path, radius):
    centres = np.stack(np.mgrid[:30, :20], axis=-1) + 0.5
    steps = np.linspace(0, 1, 400)[:, None]
    ends = zip(path, [*path[1:], path[-1]], strict=True)
    line = np.concatenate([np.array(a) * (1 - steps) + np.array(b) * steps for a, b in ends])
    away = np.stack([np.hypot(*(centres - point).transpose(2, 0, 1)) for point in line]).min(axis=0)
    mask = stroke_mask(path, radius, (30, 20))
    assert mask[away < radius - 0.2].all() and not mask[away > radius + 0.2].any()


def test_an_object_that_starts_later_cannot_be_brushed_onto_the_first_frame(workspace):
    workspace.draw_boxes([DISC])
    list(workspace.propagate())
    workspace.correct(3, 2, CORNER)
    with pytest.raises(InputError, match="expected 1 to 1 on this frame, found 2"):
        workspace.paint(0, 2, [(8.0, 44.0)], 3.0, erase=False)


def test_the_model_serves_people_in_turn(dataset):
    import threading

    turns, order = Turns(), []
    with turns.turn():
        threads = []
        for name in range(5):
            waiting = len(turns._waiting)

            def work(name=name):
                with turns.turn():
                    order.append(name)

            threads.append(threading.Thread(target=work))
            threads[-1].start()
            while len(turns._waiting) == waiting:
                pass
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_no_more_prompts_are_taken_than_a_label_can_be_read_back_with(workspace, monkeypatch):
    workspace.draw_boxes([DISC])
    workspace.make_masks()
    monkeypatch.setattr("cinetrack.labelling.workspace.MOST_PROMPTS", 2)
    workspace.paint(3, 1, [(28.0, 24.0)], 4.0, erase=False)
    with pytest.raises(InputError, match="at most 2 of a sequence"):
        workspace.paint(4, 1, [(28.0, 24.0)], 4.0, erase=False)
    assert len(workspace.draft.prompts) == 2
