"""What the labelling app does, apart from how it looks: hands out sequences, keeps everyone's workspace, submits.

One service is shared by all browsers of a server: one model, one queue of turns on it, one workspace a page.
"""

from __future__ import annotations

import logging
import math
import tempfile
import threading
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import cinetrack
from cinetrack.errors import InputError
from cinetrack.labelling.frame_spool import FrameSpool, write_indexed_series
from cinetrack.labelling.given_prompts import prompt_from_json, prompt_to_json, prompts_from_json, prompts_to_json
from cinetrack.labelling.index_masks import indexed
from cinetrack.labelling.label import Label, LabelMeta
from cinetrack.labelling.label_book import LabelBook, LabelVersion
from cinetrack.labelling.leases import DURATION_S, Leases
from cinetrack.labelling.segmenters import segmenter_of
from cinetrack.labelling.store import WriteOnceFiles
from cinetrack.labelling.track_scores import scores_from_json, scores_json
from cinetrack.labelling.turns import Turns
from cinetrack.labelling.work_queue import WorkQueue
from cinetrack.labelling.workspace import Draft, Workspace
from cinetrack.pipeline.model import Model
from cinetrack.sequence import CaseFiles
from cinetrack.sequence.image_files import open_series
from cinetrack.tracking import BoxPrompt

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Person:
    """Who is asking: the name that labels are signed with, and the browser, for one name may have two."""

    name: str
    browser: str

    @property
    def holder(self) -> str:
        """For leases."""
        return f"{self.name} ({self.browser[:6]})"


class LabellingService:
    """Everything that outlives one click.

    Args:
        rng: for the draw of sequences.
    """

    def __init__(self, cases: list[CaseFiles], files: WriteOnceFiles, model: Model, rng: np.random.Generator) -> None:
        self.book = LabelBook(files)
        self.queue = WorkQueue(cases, self.book, Leases(files))
        self.model = model
        self.segmenter = segmenter_of(model)
        self._turns = Turns()
        self._rng = rng
        self._guard = threading.Lock()
        self.unreadable: dict[str, str] = {}  # case id -> what is wrong with its series
        self._desks: dict[str, tuple[Person, Workspace]] = {}  # by page

    def workspace(self, page: str, person: Person) -> Workspace | None:
        """The page's workspace; None where it has none, or it is another person's.

        Raises:
            InputError: its lease ran out, and someone else has the sequence now.
        """
        desk = self._desks.get(page)
        if desk is None or desk[0].name != person.name:
            return None
        workspace = desk[1]
        self._keep(workspace.case.case_id, person)
        return workspace

    def next_sequence(self, page: str, person: Person) -> Workspace | None:
        """Put a sequence that nobody has labelled on the page's desk; None where all are done.

        It is not the one that was there, unless no other is left. Series that cannot be read are passed over, see
        `unreadable`.
        """
        left = self.leave(page, give_back=True)
        while True:
            with self._guard:  # generators are not made for threads
                case = self.queue.draw(person.holder, self._rng, {*self.unreadable, *left})
                if case is None and left:
                    case = self.queue.draw(person.holder, self._rng, self.unreadable)
            if case is None:
                return None
            try:
                return self._put(page, person, case, None)
            except InputError as error:
                logger.warning("labelling: %s is passed over: %s", case.case_id, error)
                self.unreadable[case.case_id] = str(error)

    def passed_over(self) -> str:
        """A sentence on the series that could not be read, with a space after it; "" where there are none."""
        names = sorted(self.unreadable)
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"Passed over, as they cannot be read: {', '.join(names[:3])}{more}. " if names else ""

    def open_sequence(self, page: str, person: Person, case_id: str) -> Workspace:
        """Put one particular sequence on the desk, with its label where there is one.

        Raises:
            InputError: no such sequence, someone else is at it, or has labelled it and nothing about it is flagged.
        """
        if case_id not in self.queue.cases:
            raise InputError("sequence: expected one of the list, found another")
        version = self.book.current(case_id)
        if version is not None and version.meta.user != person.name and case_id not in self.book.open_flags():
            raise InputError(
                f"{case_id}: labelled by {version.meta.user}, who alone can change it while nothing is flagged"
            )
        desk = self._desks.get(page)
        if desk is None or desk[1].case.case_id != case_id:
            self.leave(page, give_back=True)
        if not self.queue.open(case_id, person.holder):
            raise InputError(f"{case_id}: in work by someone else")
        return self._put(page, person, self.queue.cases[case_id], version)

    def resume(self, page: str, person: Person, remembered: Any) -> Workspace | None:
        """The sequence and the unsent drawing that a browser remembers; None where there is none to go on with."""
        if not isinstance(remembered, dict) or remembered.get("case") not in self.queue.cases:
            return None
        case_id = remembered["case"]
        try:
            current = self.book.current(case_id)
            if (0 if current is None else current.number) != remembered.get("after"):
                return None  # submitted, by this browser or another
            workspace = self.open_sequence(page, person, case_id)
            draft = draft_from_json(remembered["draft"], workspace.display.frame_shape)
            if draft_to_json(draft) != draft_to_json(workspace.draft):  # else the label's propagated masks still fit
                workspace.restore(draft)
            return workspace
        except (InputError, KeyError, TypeError, ValueError):
            desk = self._desks.get(page)
            return desk[1] if desk else None

    def submit(self, page: str, person: Person) -> LabelVersion:
        """Store the label on the desk. Raises InputError where it is incomplete, LabelConflict where not the first."""
        workspace = self._expect(page, person)
        if not workspace.masks_are_current:
            workspace.make_masks()
        label = self._label(workspace, person)
        version = self.book.submit(label, workspace.after)
        self.leave(page, give_back=True, holder=person.holder)
        return version

    def set_aside(self, page: str, person: Person, comment: str) -> LabelVersion:
        """Store that the image is bad, and why. Raises InputError where no reason is given."""
        workspace = self._expect(page, person)
        if not comment.strip():
            raise InputError("comment: expected a word on what is wrong with the image, found none")
        meta = self._meta(workspace, person, kind="bad_image", comment=comment.strip())
        version = self.book.submit(Label(meta), workspace.after)
        self.leave(page, give_back=True, holder=person.holder)
        return version

    def leave(self, page: str, give_back: bool = False, holder: str | None = None) -> list[str]:
        """Clear a desk; returns the case id of what lay there, if anything did.

        A page that is closed keeps its lease, so that a reload finds its sequence again.
        """
        with self._guard:
            desk = self._desks.pop(page, None)
        if desk is None:
            return []
        owner, workspace = desk
        workspace.close()
        if give_back:
            self.queue.close(workspace.case.case_id, holder or owner.holder)
        return [workspace.case.case_id]

    def _keep(self, case_id: str, person: Person) -> None:
        """Renew the lease while there is work."""
        if not self.queue.open(case_id, person.holder):
            taker = self.queue.holder_of(case_id) or "someone else"
            minutes = round(DURATION_S / 60)
            raise InputError(
                f"{case_id}: was taken by {taker} after {minutes} minutes without work; your drawing is kept here"
            )

    def _put(self, page: str, person: Person, case: CaseFiles, version: LabelVersion | None) -> Workspace:
        self.leave(page)
        try:
            workspace = self._open(person, case, version)
        except Exception:
            self.queue.close(case.case_id, person.holder)  # else nobody could have it, and this person nothing else
            raise
        with self._guard:
            self._desks[page] = (person, workspace)
        return workspace

    def _open(self, person: Person, case: CaseFiles, version: LabelVersion | None) -> Workspace:
        after = 0 if version is None else version.number
        workspace = Workspace(
            case,
            self.model.chain,
            self.segmenter,
            self._turns,
            after,
            on_frame=lambda: self._keep(case.case_id, person),
        )
        if version is not None and version.meta.kind == "label":
            label = self.book.read(version)
            first = [g.drawn[0] for g in label.prompts if g.frame == 0 and g.drawn]
            boxes = tuple(drawn for drawn in first if isinstance(drawn, BoxPrompt))
            scores = tuple(math.nan if score is None else score for score in label.scores)
            workspace.restore(Draft(boxes, tuple(label.prompts), scores))
            # Another bundle's masks are not this one's: those have to be propagated again.
            if label.propagated is not None and label.meta.bundle_fingerprint == self.model.bundle.fingerprint:
                _restore_track(workspace, label.propagated, version.folder)
        return workspace

    def _expect(self, page: str, person: Person) -> Workspace:
        workspace = self.workspace(page, person)
        if workspace is None:
            raise InputError("page: expected a sequence in work, found none; reload the page")
        return workspace

    def _label(self, workspace: Workspace, person: Person) -> Label:
        draft = workspace.draft
        masks = indexed([given.mask for given in draft.prompts if given.frame == 0 and given.mask is not None])
        scores = [None if math.isnan(score) else round(score, 5) for score in draft.scores]
        propagated = _propagated_files(workspace) if workspace.track_is_current else None
        meta = self._meta(workspace, person, kind="label", propagated=propagated is not None)
        return Label(meta, masks, list(draft.prompts), scores, propagated)

    def _meta(self, workspace: Workspace, person: Person, **what: Any) -> LabelMeta:
        return LabelMeta(
            case_id=workspace.case.case_id,
            patient_id=workspace.case.patient_id,
            user=person.name,
            time=datetime.now(UTC).isoformat(timespec="microseconds"),
            tool_version=cinetrack.__version__,
            frame_count=len(workspace.frames),
            bundle=self.model.bundle.name,
            bundle_fingerprint=self.model.bundle.fingerprint,
            segmenter=self.segmenter.name,
            **what,
        )


def draft_to_json(draft: Draft) -> dict[str, Any]:
    """What a browser remembers of an unsent drawing."""
    return {
        "boxes": [prompt_to_json(box) for box in draft.boxes],
        "prompts": prompts_to_json(draft.prompts),
        "scores": [None if math.isnan(score) else score for score in draft.scores],
    }


def draft_from_json(document: Any, frame_shape: tuple[int, int]) -> Draft:
    """The inverse, of a sequence with frames of `frame_shape`, (H, W).

    Raises:
        InputError, KeyError, TypeError, ValueError: it is anything else.
    """
    prompts = [prompt_from_json(box, frame_shape) for box in document["boxes"]]
    boxes = tuple(box for box in prompts if isinstance(box, BoxPrompt))
    if len(boxes) != len(prompts):
        raise InputError("draft: expected boxes, found other prompts")
    scores = tuple(math.nan if score is None else float(score) for score in document["scores"])
    return Draft(boxes, tuple(prompts_from_json(document["prompts"], "draft", frame_shape)), scores)


def _restore_track(workspace: Workspace, propagated: tuple[bytes, bytes], where: str) -> None:
    """What was accepted on every frame; where it is damaged, the sequence is left to be propagated again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "propagated.mha"
        path.write_bytes(propagated[0])
        try:
            stored = open_series(path)
            # A store is others' data: what it holds is compared before it is inflated, and names no file here.
            if stored.shape != workspace.frames.shape or stored.data_path != path:
                raise InputError(f"{where}: expected masks of {workspace.frames.shape} frames, found {stored.shape}")
            masks = FrameSpool(path)
            workspace.restore_track(masks, scores_from_json(propagated[1], f"{where}/propagated_scores.json"))
            masks.close()
        except (InputError, ValueError, zlib.error) as error:  # the latter two of data that end or change midway
            logger.warning("labelling: %s: the propagated masks cannot be taken up: %s", where, error)


def _propagated_files(workspace: Workspace) -> tuple[bytes, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "propagated.mha"
        write_indexed_series(path, workspace.track.masks, workspace.frames.geometry)
        return path.read_bytes(), scores_json(workspace.track.scores).encode()
