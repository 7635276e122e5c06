"""What happens on a click: read the page, call the service, write the page. Mendable errors become messages."""

from __future__ import annotations

import functools
import logging
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from cinetrack.errors import InputError
from cinetrack.labelling.cine_video import write_film
from cinetrack.labelling.index_masks import colour_of
from cinetrack.labelling.service import LabellingService, Person, draft_to_json
from cinetrack.labelling.web import pieces
from cinetrack.labelling.web.from_browser import boxes_for, boxes_from, frame_of, path_from, whole_number
from cinetrack.labelling.web.identity import Identity, page_of
from cinetrack.labelling.web.layout import ADD, BOX, BRUSH, ERASER, TOOLS, Page
from cinetrack.labelling.workspace import MOST_OBJECTS, Workspace
from cinetrack.tracking import BoxPrompt, PointPrompt

logger = logging.getLogger(__name__)

Updates = dict[Any, Any]

DRAW = "Draw a box around each target (1 to 5), then press Masks."
CHECK = "Are the masks right? Adjust a box or brush, or press Propagate."
REVIEW = "Look through the frames. Wrong somewhere? Mend it there and propagate again. Otherwise press Accept."
STALE = "Press Propagate to track on from what you changed."
DONE = "All sequences are labelled or in someone's hands. Thank you!"
PROGRESS_EVERY_S = 0.3


def with_messages(callback: Callable[..., Updates]) -> Callable[..., Updates]:
    """Turn an InputError into the page's message; a failure of ours is logged, and not shown to the browser."""

    @functools.wraps(callback)
    def guarded(self: Callbacks, *arguments: Any) -> Updates:
        try:
            return callback(self, *arguments) or {self._page.title: gr.skip()}  # Gradio takes no empty answer
        except Exception as error:
            return self.failed(error)

    return guarded


class Callbacks:
    """One method an event. `request` says whose page it is; what a page shows is made from its workspace."""

    def __init__(self, service: LabellingService, identity: Identity, page: Page) -> None:
        self._service = service
        self._identity = identity
        self._page = page
        # Boxes on later frames, by frame, until Masks makes prompts of them.
        self._waiting: weakref.WeakKeyDictionary[Workspace, dict[int, tuple[BoxPrompt, ...]]]
        self._waiting = weakref.WeakKeyDictionary()

    @with_messages
    def load(self, memory: Any, request: gr.Request) -> Updates:
        """A page opens: what this browser left unsent, or a new sequence."""
        browser = self._identity.arrive(request, memory)
        person = self._identity.person(request)
        workspace = self._service.resume(page_of(request), person, memory)
        if workspace is not None:
            text = "Here is your unsent drawing again." if workspace.draft.boxes else DRAW
            return self._fresh(workspace, person, request, text)
        return self._next(person, request, browser)

    def unload(self, request: gr.Request) -> None:
        """A page closes."""
        self._service.leave(page_of(request))
        self._identity.leave(page_of(request))

    @with_messages
    def boxes_drawn(self, payload: Any, request: gr.Request) -> Updates:
        """Boxes were drawn, moved or deleted: on frame 0 they are remembered at once."""
        person, workspace = self._desk_if_any(request)
        if workspace is None or not self._take_boxes(workspace, payload):
            return {}
        count = len(workspace.draft.boxes)
        text = f"{count} box{'es' if count != 1 else ''}. Press Masks." if count else DRAW
        return {self._page.memory: self._memory(workspace, person), self._page.message: pieces.message(text)}

    @with_messages
    def make_masks(self, payload: Any, frame: Any, target: Any, tool: Any, request: gr.Request) -> Updates:
        """Masks from the boxes; on a later frame, the box corrects the chosen object."""
        person, workspace = self._desk(request)
        index = whole_number(frame, 0, len(workspace.frames) - 1)
        if tool == BOX:
            self._take_boxes(workspace, payload)
        if index == 0:
            workspace.make_masks()
            return self._view(workspace, person, request, 0, tool, CHECK)
        boxes = self._waiting_on(workspace).get(index, ())
        if len(boxes) != 1:
            raise InputError(f"boxes: expected one around object {target} on this frame, found {len(boxes)}")
        workspace.correct(index, _object(target), boxes[0])
        self._waiting_on(workspace).pop(index, None)
        return self._view(workspace, person, request, index, tool, STALE)

    @with_messages
    def stroke(self, data: Any, frame: Any, target: Any, tool: Any, radius: Any, request: gr.Request) -> Updates:
        """A click or a brush stroke on the picture."""
        person, workspace = self._desk(request)
        index = whole_number(frame, 0, len(workspace.frames) - 1)
        number, path = _object(target), path_from(data, workspace.display)
        if tool in (BRUSH, ERASER):
            workspace.paint(index, number, path, whole_number(radius, 1, 20), erase=tool == ERASER)
        else:
            workspace.correct(index, number, PointPrompt((path[0],), (tool == ADD,)))
        return self._view(workspace, person, request, index, tool, STALE if workspace.track.done else CHECK)

    def propagate(self, payload: Any, frame: Any, tool: Any, request: gr.Request) -> Iterator[Updates]:
        """Track through the sequence, saying how far it is. Says nothing more once the page has another sequence."""
        page = self._page
        finished = {page.cancel: gr.update(interactive=False)}
        try:
            person, workspace = self._desk(request)
            self._expect_nothing_waits(workspace, payload, tool)
            total, began, shown = len(workspace.frames), time.monotonic(), 0.0
            yield {page.cancel: gr.update(interactive=True), page.message: pieces.message("Propagating ...")}
            started_at = None
            for done in workspace.propagate():
                started_at = done - 1 if started_at is None else started_at
                if time.monotonic() - shown > PROGRESS_EVERY_S:
                    if not self._still_here(workspace, person, request):
                        break
                    shown = time.monotonic()
                    bar = pieces.progress_bar(done - started_at, total - started_at, shown - began)
                    yield {page.message: bar}
            text = REVIEW if workspace.track_is_current else f"Stopped after frame {workspace.track.done - 1}."
            index = whole_number(frame, 0, max(0, workspace.track.done - 1))
            yield {**self._view(workspace, person, request, index, tool, text), **finished}
        except Exception as error:
            yield {**self.failed(error), **finished}

    @with_messages
    def cancel(self, request: gr.Request) -> Updates:
        """Stop propagating."""
        self._desk(request)[1].cancelled.set()
        return {}

    @with_messages
    def show_frame(self, frame: Any, tool: Any, request: gr.Request) -> Updates:
        """The slider or the tool was moved."""
        _, workspace = self._desk_if_any(request)
        if workspace is None:
            return {}
        return self._pictures(workspace, whole_number(frame, 0, len(workspace.frames) - 1), tool)

    @with_messages
    def set_window(self, level: Any, width: Any, frame: Any, tool: Any, request: gr.Request) -> Updates:
        """The window was moved."""
        _, workspace = self._desk_if_any(request)
        if workspace is None:
            return {}
        workspace.window = workspace.full_window.adjusted(float(level), float(width))
        return self._pictures(workspace, whole_number(frame, 0, len(workspace.frames) - 1), tool)

    @with_messages
    def film(self, request: gr.Request) -> Updates:
        """The looping film, with masks once there are some on every frame; none where there is no sequence."""
        nothing = {self._page.film: gr.skip()}
        person, workspace = self._desk_if_any(request)
        if workspace is None:
            return nothing
        path = Path(workspace.folder.name) / "film.webm"
        masks = workspace.track.masks if workspace.track_is_current else None
        write_film(path, workspace.frames, workspace.display, workspace.window, workspace.frame_rate_hz, masks)
        return {self._page.film: str(path)} if self._still_here(workspace, person, request) else nothing

    @with_messages
    def undo(self, frame: Any, tool: Any, request: gr.Request) -> Updates:
        """Take back the last change."""
        person, workspace = self._desk(request)
        index = whole_number(frame, 0, len(workspace.frames) - 1)
        box_waited = tool == BOX and self._waiting_on(workspace).pop(index, None) is not None
        text = "Taken back." if box_waited or workspace.undo() else "There is nothing to take back."
        return self._view(workspace, person, request, index, tool, text)

    @with_messages
    def clear(self, request: gr.Request) -> Updates:
        """Start this sequence over."""
        person, workspace = self._desk(request)
        workspace.clear()
        self._waiting_on(workspace).clear()
        return self._view(workspace, person, request, 0, BOX, DRAW)

    @with_messages
    def accept(self, payload: Any, tool: Any, request: gr.Request) -> Updates:
        """Store the label, and on to the next sequence."""
        person, workspace = self._desk(request)
        self._expect_nothing_waits(workspace, payload, tool)
        version = self._service.submit(page_of(request), person)
        return self._next(person, request, person.browser, f"{version.meta.case_id} is stored. ")

    @with_messages
    def set_aside(self, comment: Any, request: gr.Request) -> Updates:
        """A bad image, and on to the next sequence."""
        person, _ = self._desk(request)
        version = self._service.set_aside(page_of(request), person, str(comment or ""))
        said = f"{version.meta.case_id} is set aside. "
        return {**self._next(person, request, person.browser, said), self._page.comment: ""}

    @with_messages
    def back_to_last(self, request: gr.Request) -> Updates:
        """One's own last submission again."""
        person = self._identity.person(request)
        version = self._service.queue.latest_of(person.name)
        if version is None:
            raise InputError("There is none of yours yet")
        workspace = self._service.open_sequence(page_of(request), person, version.meta.case_id)
        return self._fresh(workspace, person, request, "Your last one. Accepting it again adds a version.")

    @with_messages
    def open_sequence(self, case_id: Any, request: gr.Request) -> Updates:
        """A sequence from the list."""
        person = self._identity.person(request)
        workspace = self._service.open_sequence(page_of(request), person, str(case_id))
        flags = self._service.book.open_flags().get(workspace.case.case_id, [])
        wrong = "; ".join(f"frames {', '.join(map(str, flag.frames))}: {flag.reason}" for flag in flags)
        text = f"Flagged: {wrong}. Propagate, then mend it there." if wrong else DRAW
        flagged = min((frame for flag in flags for frame in flag.frames), default=0)
        return self._fresh(workspace, person, request, text, flagged)

    @with_messages
    def skip(self, request: gr.Request) -> Updates:
        """Another sequence; this one goes back to the others."""
        person = self._identity.person(request)
        return self._next(person, request, person.browser)

    def failed(self, error: Exception) -> Updates:
        """The page after an error."""
        if isinstance(error, InputError):
            return {self._page.message: pieces.message(str(error), bad=True)}
        logger.error("labelling: a callback failed", exc_info=error)
        return {self._page.message: pieces.message("Something went wrong on the server; its log says what.", bad=True)}

    def _desk_if_any(self, request: gr.Request) -> tuple[Person, Workspace | None]:
        """For events that Gradio also fires when a page is filled or emptied, not only when a person acts."""
        person = self._identity.person(request)
        return person, self._service.workspace(page_of(request), person)

    def _desk(self, request: gr.Request) -> tuple[Person, Workspace]:
        person, workspace = self._desk_if_any(request)
        if workspace is None:
            raise InputError("There is no sequence on this page; reload it")
        return person, workspace

    def _still_here(self, workspace: Workspace, person: Person, request: gr.Request) -> bool:
        return self._service.workspace(page_of(request), person) is workspace

    def _waiting_on(self, workspace: Workspace) -> dict[int, tuple[BoxPrompt, ...]]:
        return self._waiting.setdefault(workspace, {})

    def _take_boxes(self, workspace: Workspace, payload: Any) -> bool:
        """Take up the picture's boxes, under the frame that the picture shows; whether frame 0's changed."""
        index = frame_of(payload, _sequence_name(workspace))
        if index is None or index >= len(workspace.frames):
            return False
        waiting = self._waiting_on(workspace)
        known = workspace.draft.boxes if index == 0 else waiting.get(index, ())
        boxes = boxes_from(payload, workspace.display, known)
        if index == 0:
            return workspace.draw_boxes(boxes)
        if boxes:
            waiting[index] = tuple(boxes)
        else:
            waiting.pop(index, None)
        return False

    def _expect_nothing_waits(self, workspace: Workspace, payload: Any, tool: Any) -> None:
        if tool == BOX:  # with any other the picture is hidden, and what it holds is old
            self._take_boxes(workspace, payload)
        if waiting := self._waiting_on(workspace):
            index = min(waiting)
            raise InputError(
                f"frame {index}: expected a mask from its box, found only the box; "
                "go there, choose Box, and press Masks or delete it"
            )

    def _next(self, person: Person, request: gr.Request, browser: str, said: str = "") -> Updates:
        workspace = self._service.next_sequence(page_of(request), person)
        said += self._service.passed_over()
        if workspace is not None:
            return self._fresh(workspace, person, request, said + DRAW)
        page = self._page
        return {
            **self._counts(person),
            page.message: pieces.message(said + DONE),
            page.boxes: None,
            page.film: None,
            page.facts: "",
            page.objects: "",
            page.memory: {"browser": browser},
        }

    def _fresh(self, workspace: Workspace, person: Person, request: gr.Request, text: str, frame: int = 0) -> Updates:
        page = self._page
        # Without objects there is no frame slider to come back with.
        index = min(frame, len(workspace.frames) - 1) if workspace.draft.object_count else 0
        return {
            **self._counts(person),
            **self._view(workspace, person, request, index, BOX, text),
            page.facts: pieces.facts(workspace),
            page.film: None,
            page.tool: BOX,
            page.level: 0.5,
            page.width: 1,
        }

    def _counts(self, person: Person) -> Updates:
        queue = self._service.queue
        patients = len({case.patient_id for case in queue.cases.values()})
        head = pieces.title(person.name, queue.progress(person.name), queue.progress(), len(queue.cases), patients)
        choices = [
            (f"{case_id}: {status}{f' ({who})' if who else ''}", case_id)
            for case_id, (status, who) in queue.status().items()
        ]
        return {self._page.title: head, self._page.sequence: gr.update(choices=choices, value=None)}

    def _view(
        self, workspace: Workspace, person: Person, request: gr.Request, index: int, tool: Any, text: str
    ) -> Updates:
        """All that may change with the drawing; nothing where the page has gone on to another sequence meanwhile."""
        if not self._still_here(workspace, person, request):
            return {}
        page = self._page
        count = workspace.draft.object_count
        last = len(workspace.frames) - 1
        return {
            **self._pictures(workspace, index, tool),
            page.message: pieces.message(text),
            page.memory: self._memory(workspace, person),
            page.objects: pieces.objects(workspace),
            page.frame: gr.update(maximum=max(last, 1), value=index, visible=True if count else "hidden"),
            page.masks: gr.update(variant="secondary" if workspace.masks_are_current else "primary"),
            page.propagate: gr.update(
                variant="primary" if workspace.masks_are_current and not workspace.track_is_current else "secondary"
            ),
            page.accept: gr.update(variant="primary" if workspace.track_is_current else "secondary"),
        }

    def _pictures(self, workspace: Workspace, index: int, tool: Any) -> Updates:
        page = self._page
        tool = tool if tool in TOOLS else BOX
        picture = workspace.display.picture(workspace.frames[index], workspace.window)
        objects = workspace.objects_on(index)
        if objects is not None:
            picture = workspace.display.overlay(picture, objects)
        count = workspace.draft.object_count
        choices: list[tuple[str, int]] = [(str(number), number) for number in range(1, max(1, count) + 1)]
        if index > 0 and 0 < count < MOST_OBJECTS:
            choices.append(("new", count + 1))
        targets = {page.target: gr.update(choices=choices)}
        if tool != BOX:
            shown: bool | Literal["hidden"] = "hidden" if tool not in (BRUSH, ERASER) else True
            return {
                **targets,
                page.boxes: gr.update(visible="hidden"),
                page.canvas: gr.update(value=pieces.data_url(picture), visible=True),
                page.radius: gr.update(visible=shown),
            }
        drawn = workspace.draft.boxes if index == 0 else self._waiting_on(workspace).get(index, ())
        colours = [colour_of(number) for number in range(1, len(drawn) + 1)]
        path = pieces.picture_file(picture, Path(workspace.folder.name), _sequence_name(workspace), index)
        value = {"image": str(path), "boxes": boxes_for(drawn, colours, workspace.display)}
        return {
            **targets,
            page.boxes: gr.update(value=value, visible=True),
            page.canvas: gr.update(visible="hidden"),
            page.radius: gr.update(visible="hidden"),
        }

    def _memory(self, workspace: Workspace, person: Person) -> dict[str, Any]:
        return {
            "browser": person.browser,
            "case": workspace.case.case_id,
            "after": workspace.after,
            "draft": draft_to_json(workspace.draft),
        }


def _sequence_name(workspace: Workspace) -> str:
    return Path(workspace.folder.name).name  # made up for this workspace alone


def _object(target: Any) -> int:
    if target is None:
        raise InputError("object: expected a choice, found none; choose one beside the tools")
    return whole_number(target, 1, MOST_OBJECTS)
