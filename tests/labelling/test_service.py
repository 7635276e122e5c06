"""Sequences handed out, labels submitted, unsent drawings found again."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from cinetrack.bundle import open_bundle
from cinetrack.bundle.assembly import create_bundle
from cinetrack.errors import InputError
from cinetrack.labelling.label_book import Flag, LabelConflict
from cinetrack.labelling.service import LabellingService, Person, draft_to_json
from cinetrack.labelling.store import open_files
from cinetrack.pipeline.model import load_model
from cinetrack.sequence import find_cases
from cinetrack.tracking import BoxPrompt

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
DISC = BoxPrompt(18, 14, 38, 34)
ANNA, BEN = Person("anna", "aaaaaaaa"), Person("ben", "bbbbbbbb")


@pytest.fixture
def make_service(dataset, tmp_path):
    model = load_model(open_bundle(RESOURCES / "registration"))
    return lambda: LabellingService(
        find_cases(dataset), open_files(str(tmp_path / "store")), model, np.random.default_rng(0)
    )


@pytest.fixture
def service(make_service) -> LabellingService:
    return make_service()


def test_two_people_get_two_sequences_and_then_there_is_none(service):
    first, second = service.next_sequence("p1", ANNA), service.next_sequence("p2", BEN)
    assert first.case.case_id != second.case.case_id
    assert service.next_sequence("p3", Person("carl", "cccccccc")) is None


def test_a_submitted_label_holds_the_masks_that_were_shown(service):
    workspace = service.next_sequence("p1", ANNA)
    workspace.draw_boxes([DISC])
    list(workspace.propagate())
    shown = [workspace.objects_on(frame) for frame in range(8)]
    version = service.submit("p1", ANNA)
    label = service.book.read(version)
    np.testing.assert_array_equal(label.masks, shown[0])
    assert label.meta.user == "anna" and label.meta.propagated and label.meta.frame_count == 8
    assert label.prompts[0].drawn == (DISC,) and label.scores == [None]
    assert len(json.loads(label.propagated[1])["object_score"]) == 8
    assert service.workspace("p1", ANNA) is None


def test_a_closed_page_finds_its_unsent_boxes_again_even_after_a_restart(service, make_service):
    workspace = service.next_sequence("p1", ANNA)
    workspace.draw_boxes([DISC])
    workspace.make_masks()
    remembered = json.loads(
        json.dumps({"case": workspace.case.case_id, "after": 0, "draft": draft_to_json(workspace.draft)})
    )
    mask = workspace.objects_on(0)
    service.leave("p1")
    for other in (service, make_service()):
        found = other.resume("p2", ANNA, remembered)
        assert found.case.case_id == remembered["case"] and found.draft.boxes == (DISC,)
        np.testing.assert_array_equal(found.objects_on(0), mask)
        other.leave("p2")


@pytest.mark.parametrize(
    "remembered",
    [None, 7, {}, {"case": "../../etc"}, {"case": "A_001"}, {"case": "A_001", "after": 0, "draft": {"boxes": 3}}],
)
def test_a_browser_that_remembers_nonsense_does_no_harm(service, remembered):
    workspace = service.resume("p1", ANNA, remembered)
    assert workspace is None or workspace.draft.boxes == ()


def test_what_was_submitted_is_not_offered_again(service):
    workspace = service.next_sequence("p1", ANNA)
    workspace.draw_boxes([DISC])
    remembered = {"case": workspace.case.case_id, "after": 0, "draft": draft_to_json(workspace.draft)}
    service.submit("p1", ANNA)
    assert service.resume("p2", ANNA, remembered) is None


def test_one_can_go_back_to_ones_own_label_but_not_to_anothers(service):
    workspace = service.next_sequence("p1", ANNA)
    case_id = workspace.case.case_id
    workspace.draw_boxes([DISC])
    service.submit("p1", ANNA)
    again = service.open_sequence("p1", ANNA, case_id)
    assert again.draft.boxes == (DISC,) and again.masks_are_current and again.after == 1
    service.leave("p1", give_back=True)
    with pytest.raises(InputError, match="labelled by anna"):
        service.open_sequence("p2", BEN, case_id)
    service.book.flag(case_id, Flag(1, (5,), "vanished"))
    mended = service.open_sequence("p2", BEN, case_id)
    mended.draw_boxes([BoxPrompt(18, 14, 38, 35)])
    assert service.submit("p2", BEN).number == 2
    assert [version.meta.user for version in service.book.history(case_id)] == ["anna", "ben"]


def test_accepting_ones_last_label_again_keeps_what_was_propagated(service):
    workspace = service.next_sequence("p1", ANNA)
    case_id = workspace.case.case_id
    workspace.draw_boxes([DISC])
    list(workspace.propagate())
    shown = [workspace.objects_on(frame) for frame in range(8)]
    first = service.book.read(service.submit("p1", ANNA))
    again = service.open_sequence("p1", ANNA, case_id)
    assert again.track_is_current
    remembered = {"case": case_id, "after": 1, "draft": json.loads(json.dumps(draft_to_json(again.draft)))}
    again = service.resume("p2", ANNA, remembered)  # the page was reloaded
    for frame in range(8):
        np.testing.assert_array_equal(again.objects_on(frame), shown[frame])
    second = service.book.read(service.submit("p2", ANNA))
    assert second.meta.propagated and json.loads(second.propagated[1]) == json.loads(first.propagated[1])
    third = service.open_sequence("p1", ANNA, case_id)
    third.correct(4, 1, BoxPrompt(22, 18, 44, 40))
    assert not third.track_is_current
    assert list(third.propagate())[-1] == 8 and third.track_is_current
    assert len(third.track.scores) == 8


def test_propagated_masks_of_another_bundle_or_damaged_ones_are_not_taken_up(service):
    workspace = service.next_sequence("p1", ANNA)
    workspace.draw_boxes([DISC])
    list(workspace.propagate())
    label = service.book.read(service.submit("p1", ANNA))
    other = dataclasses.replace(label.meta, bundle_fingerprint="0" * 64)
    service.book.submit(dataclasses.replace(label, meta=other), after=1)
    assert not service.open_sequence("p1", ANNA, label.meta.case_id).track_is_current
    mha, scores = label.propagated
    garbled = mha[:-40] + bytes(40)
    for number, files in enumerate([(b"ObjectType = Image", scores), (mha, b"[]"), (garbled, scores)], 2):
        service.book.submit(dataclasses.replace(label, propagated=files), after=number)
        found = service.open_sequence("p1", ANNA, label.meta.case_id)
        assert not found.track_is_current and found.draft.boxes == (DISC,)


def test_scores_have_one_column_an_object_also_where_one_was_added_later(service):
    workspace = service.next_sequence("p1", ANNA)
    workspace.draw_boxes([DISC])
    list(workspace.propagate())
    workspace.correct(5, 2, BoxPrompt(2, 36, 18, 52))
    list(workspace.propagate())
    scores = json.loads(service.book.read(service.submit("p1", ANNA)).propagated[1])
    assert scores["objects"] == 2
    assert all(len(row) == 2 for name in ("object_score", "predicted_iou") for row in scores[name])
    assert scores["object_score"][2][1] is None


def test_a_sequence_in_someones_hands_is_refused(service):
    case_id = service.next_sequence("p1", ANNA).case.case_id
    with pytest.raises(InputError, match="in work by someone else"):
        service.open_sequence("p2", BEN, case_id)


def test_a_sequence_taken_over_after_its_lease_ran_out_is_taken_back_from_no_one(service, monkeypatch):
    mine = service.next_sequence("p1", ANNA)
    mine.draw_boxes([DISC])
    monkeypatch.setattr(service.queue._leases, "_now", lambda: time.time() + 31 * 60)
    theirs = service.open_sequence("p2", BEN, mine.case.case_id)
    for act in (service.workspace, service.submit):
        with pytest.raises(InputError, match=r"was taken by ben \(bbbbbb\) after 30 minutes without work"):
            act("p1", ANNA)
    with pytest.raises(InputError, match="was taken by ben"):
        list(mine.propagate())
    assert mine.draft.boxes == (DISC,)
    theirs.draw_boxes([DISC])
    assert service.submit("p2", BEN).meta.user == "ben"
    assert service.next_sequence("p1", ANNA).case.case_id != theirs.case.case_id


def test_a_long_propagation_keeps_its_lease(service, monkeypatch):
    workspace = service.next_sequence("p1", ANNA)
    workspace.draw_boxes([DISC])
    began = time.time()
    for done in workspace.propagate():
        monkeypatch.setattr(service.queue._leases, "_now", lambda done=done: began + done * 20 * 60)
    assert workspace.track_is_current
    with pytest.raises(InputError, match="in work by someone else"):
        service.open_sequence("p2", BEN, workspace.case.case_id)


def test_a_series_that_cannot_be_read_is_passed_over_and_said(service):
    good, bad = sorted(service.queue.cases)
    service.queue.cases[bad].series_path.write_bytes(b"ObjectType = Image")
    for page in ("p1", "p2", "p3", "p4"):
        assert service.next_sequence(page, ANNA).case.case_id == good
        service.leave(page, give_back=True)
    with pytest.raises(InputError):
        service.open_sequence("p1", ANNA, bad)
    assert bad in service.passed_over() and service.queue.status()[bad] == ("open", "")
    service.queue.cases[good].series_path.unlink()
    assert service.next_sequence("p1", ANNA) is None and good in service.passed_over()


def test_skipping_leads_to_another_sequence_while_there_is_one(service):
    seen = [service.next_sequence("p1", ANNA).case.case_id for _ in range(12)]
    assert all(one != next_one for one, next_one in zip(seen, seen[1:], strict=False))
    service.next_sequence("p2", BEN)
    assert service.next_sequence("p1", ANNA).case.case_id == service.next_sequence("p1", ANNA).case.case_id


def test_one_persons_page_is_closed_to_another(service):
    service.next_sequence("p1", ANNA)
    assert service.workspace("p1", BEN) is None
    with pytest.raises(InputError, match="reload"):
        service.submit("p1", BEN)


def test_a_label_that_came_first_elsewhere_is_not_replaced(service, make_service):
    workspace = service.next_sequence("p1", ANNA)
    workspace.draw_boxes([DISC])
    other = make_service()
    other.queue.close(workspace.case.case_id, ANNA.holder)  # as if the lease had run out
    theirs = other.open_sequence("p9", BEN, workspace.case.case_id)
    theirs.draw_boxes([DISC])
    other.submit("p9", BEN)
    with pytest.raises(LabelConflict, match="labelled by ben"):
        service.submit("p1", ANNA)
    assert workspace.draft.boxes == (DISC,)  # still there


def test_a_bad_image_needs_a_reason_and_is_not_drawn_again(service):
    case_id = service.next_sequence("p1", ANNA).case.case_id
    with pytest.raises(InputError, match="what is wrong"):
        service.set_aside("p1", ANNA, "  ")
    with pytest.raises(InputError, match="at most 500"):
        service.set_aside("p1", ANNA, "x" * 501)
    service.set_aside("p1", ANNA, "motion")
    assert service.next_sequence("p1", ANNA).case.case_id != case_id
    assert service.queue.status()[case_id] == ("bad image", "anna")


def test_people_propagating_at_once_all_get_what_one_alone_gets(make_service):
    services = make_service()
    spaces = [services.next_sequence("p1", ANNA), services.next_sequence("p2", BEN)]
    for workspace in spaces:
        workspace.draw_boxes([DISC])
    threads = [threading.Thread(target=lambda w=w: list(w.propagate())) for w in spaces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for frame in range(8):  # both sequences hold the same frames
        np.testing.assert_array_equal(spaces[0].objects_on(frame), spaces[1].objects_on(frame))


def test_with_sam2_as_segmenter_masks_have_scores_and_later_boxes_reach_the_tracker_as_they_are(dataset, tmp_path):
    source = RESOURCES / "training/sam2-mini"
    config = str(source / "tracker.yaml")
    create_bundle(tmp_path / "boxes", str(source / "tracker.pt"), tracker_config=config, box_segmenter="sam2")
    model = load_model(open_bundle(tmp_path / "boxes"), "cpu")
    service = LabellingService(find_cases(dataset), open_files(str(tmp_path / "s")), model, np.random.default_rng(0))
    workspace = service.next_sequence("p1", ANNA)
    workspace.draw_boxes([DISC])
    list(workspace.propagate())
    workspace.correct(4, 1, BoxPrompt(22, 18, 44, 40))
    assert not workspace.track_is_current
    list(workspace.propagate())
    label = service.book.read(service.submit("p1", ANNA))
    assert label.meta.segmenter == "sam2" and 0 <= label.scores[0] <= 1
    assert label.prompts[1].prompt == BoxPrompt(22, 18, 44, 40) and label.prompts[1].drawn == ()
