"""What late and old events of a page do: nothing to another frame, nothing to another sequence."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("gradio")

from cinetrack.bundle import open_bundle
from cinetrack.labelling.service import LabellingService
from cinetrack.labelling.store import open_files
from cinetrack.labelling.web import callbacks
from cinetrack.labelling.web.callbacks import Callbacks
from cinetrack.labelling.web.from_browser import frame_of
from cinetrack.labelling.web.identity import Identity
from cinetrack.labelling.web.layout import BOX, BRUSH, Page
from cinetrack.pipeline.model import load_model
from cinetrack.sequence import find_cases
from cinetrack.tracking import BoxPrompt

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
DISC, ELSEWHERE = BoxPrompt(18, 14, 38, 34), BoxPrompt(40, 20, 60, 50)
REQUEST = SimpleNamespace(session_hash="p1", username="anna")


class Desk:
    """A page that has just loaded; component names stand for the components."""

    def __init__(self, service: LabellingService) -> None:
        self.service = service
        self.does = Callbacks(service, Identity(), Page(**{field.name: field.name for field in fields(Page)}))
        self.boxes = self.does.load(None, REQUEST)["boxes"]["value"]

    @property
    def workspace(self):
        return self.service._desks["p1"][1]

    def payload(self, shown: dict, *boxes: BoxPrompt) -> dict:
        """What the browser sends once `boxes` are drawn on the picture it was shown."""
        edges = [self.workspace.display.box_to_display(box) for box in boxes]
        drawn = [dict(zip(("xmin", "ymin", "xmax", "ymax"), map(float, edge), strict=True)) for edge in edges]
        return {"image": {"orig_name": Path(shown["image"]).name}, "boxes": drawn}

    def at(self, frame: int) -> dict:
        """The picture after the slider is moved."""
        return self.does.show_frame(frame, BOX, REQUEST)["boxes"]["value"]

    def masks(self) -> None:
        self.does.make_masks(self.payload(self.boxes, DISC), 0, 1, BOX, REQUEST)


@pytest.fixture
def desk(dataset, tmp_path) -> Desk:
    model = load_model(open_bundle(RESOURCES / "registration"))
    return Desk(
        LabellingService(find_cases(dataset), open_files(str(tmp_path / "store")), model, np.random.default_rng(0))
    )


@pytest.mark.parametrize("tool", [BOX, BRUSH])
def test_a_box_left_on_a_later_frame_is_never_taken_for_the_first_frames(desk, tool):
    desk.masks()
    case_id, left = desk.workspace.case.case_id, desk.payload(desk.at(5), ELSEWHERE)
    desk.does.boxes_drawn(left, REQUEST)
    desk.does.show_frame(0, tool, REQUEST)
    assert "frame 5" in desk.does.accept(left, tool, REQUEST)["message"]
    assert "frame 5" in list(desk.does.propagate(left, 0, tool, REQUEST))[-1]["message"]
    desk.does.make_masks(left, 0, 1, tool, REQUEST)
    assert desk.service.book.current(case_id) is None and len(desk.workspace.draft.boxes) == 1
    assert desk.workspace.draft.boxes[0].bottom == pytest.approx(DISC.bottom)


def test_a_waiting_box_is_shown_again_and_can_be_deleted_taken_back_or_made_a_mask(desk):
    desk.masks()
    for ending in ("deleted", "taken back", "masks"):
        desk.does.boxes_drawn(desk.payload(desk.at(5), ELSEWHERE), REQUEST)
        shown = desk.at(5)
        assert len(shown["boxes"]) == 1 and desk.at(4)["boxes"] == []
        if ending == "deleted":
            desk.does.boxes_drawn(desk.payload(shown), REQUEST)
        elif ending == "taken back":
            desk.does.undo(5, BOX, REQUEST)
        else:
            desk.does.make_masks(desk.payload(shown, ELSEWHERE), 5, 1, BOX, REQUEST)
        assert desk.at(5)["boxes"] == []
    assert [given.frame for given in desk.workspace.draft.prompts] == [0, 5]
    assert "is stored" in desk.does.accept(desk.payload(desk.at(0), DISC), BOX, REQUEST)["message"]


@pytest.mark.parametrize("tool", [BOX, BRUSH])
def test_a_later_frames_empty_picture_clears_no_boxes_of_the_first(desk, tool):
    desk.masks()
    empty = desk.payload(desk.at(6))
    assert "is stored" in desk.does.accept(empty, tool, REQUEST)["message"]


def test_the_picture_of_the_sequence_before_gives_no_boxes_to_the_next(desk):
    desk.masks()
    old = desk.payload(desk.boxes, ELSEWHERE)
    desk.does.skip(REQUEST)
    desk.does.boxes_drawn(old, REQUEST)
    assert desk.workspace.draft.boxes == ()


@pytest.mark.parametrize("leave", ["accept", "skip"])
def test_a_propagation_that_is_left_says_nothing_about_the_next_sequence(desk, leave, monkeypatch):
    monkeypatch.setattr(callbacks, "PROGRESS_EVERY_S", -1.0)
    desk.masks()
    before = desk.workspace
    running = desk.does.propagate(desk.payload(desk.boxes, DISC), 0, BOX, REQUEST)
    assert "Propagating" in next(running)["message"] and "Frame 1" in next(running)["message"]
    if leave == "accept":
        desk.does.accept(desk.payload(desk.boxes, DISC), BOX, REQUEST)
    else:
        desk.does.skip(REQUEST)
    assert desk.workspace is not before
    assert [set(updates) for updates in running] == [{"cancel"}]


def test_slow_work_that_ends_after_the_page_went_on_changes_nothing_there(desk, monkeypatch):
    monkeypatch.setattr(desk.workspace, "make_masks", lambda: desk.does.skip(REQUEST))
    assert set(desk.does.make_masks(desk.payload(desk.boxes, DISC), 0, 1, BOX, REQUEST)) == {"title"}
    monkeypatch.setattr(callbacks, "write_film", lambda *_: desk.does.skip(REQUEST))
    film = desk.does.film(REQUEST)
    assert set(film) == {"film"} and not isinstance(film["film"], str)


@pytest.mark.parametrize("name", [None, 5, "", "x-5-ab.jpg", "s-5.jpg", "s--5-ab.jpg", "s-5-ab.jpg/..", "s-5-ab.jpg\n"])
def test_a_picture_of_another_name_is_of_no_frame(name):
    assert frame_of({"image": {"orig_name": name}}, "s") is None
    assert frame_of({"image": {"orig_name": "s-5-ab.jpg"}}, "s") == 5
