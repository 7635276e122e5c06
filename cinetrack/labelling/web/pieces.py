"""Small pieces of the page as HTML. Whatever a person or a file wrote is escaped here, and only here."""

from __future__ import annotations

import base64
import secrets
from html import escape
from pathlib import Path

import cv2
import numpy as np

from cinetrack.labelling.index_masks import colour_of
from cinetrack.labelling.work_queue import Progress
from cinetrack.labelling.workspace import Workspace

HELP = """
**In short:** draw a box around each target, press **Masks**, check them, press **Propagate**, look through the
frames, press **Accept**. The next sequence loads by itself.

1. **Box** (1 to 5): drag with the mouse. Drag a corner to adjust, *Delete* removes the selected one.
2. **Masks** turns every box into a mask. Not right? Move the box and press it again, or choose **Add point**,
   **Remove point**, **Brush** or **Eraser**, the object, and click or paint on the picture.
3. **Propagate** follows the masks through all frames; **Cancel** stops it. Move the frame slider to check.
4. A frame is wrong? Stay on it and use the same tools (a box: draw it, then **Masks**). **Propagate** again
   goes on from there with everything you gave.
5. **Accept** stores the label and loads the next sequence. **Bad image** sets the sequence aside with your comment.

| key | does | key | does |
|---|---|---|---|
| M | Masks | A | Accept |
| P | Propagate | U | Undo |
| Esc | Cancel | ← → | frame back, forward |
| L | back to my last one | C / D | draw / move boxes |
| Delete | remove the selected box | Space | reset the box view's zoom |

The picture is shown head up. Nothing is sent until you accept; if the page closes, your drawing is offered again.
"""


def facts(workspace: Workspace) -> str:
    """The sequence in a table."""
    rows = (
        ("Patient", workspace.case.patient_id),
        ("Sequence", workspace.case.case_id),
        ("Region", workspace.region),
        ("Field strength", f"{workspace.field_strength_t:g} T"),
        ("Frame rate", f"{workspace.frame_rate_hz:g} Hz"),
        ("Frames", f"{len(workspace.frames)}"),
    )
    return "<table>" + "".join(f"<tr><td>{name}</td><td>{escape(value)}</td></tr>" for name, value in rows) + "</table>"


def objects(workspace: Workspace) -> str:
    """The objects with their colours and scores."""
    count = workspace.draft.object_count
    if not count:
        return "<p>No masks yet.</p>"
    rows = []
    for number in range(1, count + 1):
        colour = "#{:02x}{:02x}{:02x}".format(*colour_of(number))
        mask = workspace.mask_of(0, number)
        score = workspace.draft.scores[number - 1] if number <= len(workspace.draft.scores) else float("nan")
        shown = "no score" if np.isnan(score) else f"score {score:.2f}"
        size = "starts on a later frame" if mask is None else f"{int(mask.sum())} pixels"
        dot = f'<span class="dot" style="background:{colour}"></span>'
        rows.append(f"<tr><td>{dot} Object {number}</td><td>{size}</td><td>{shown}</td></tr>")
    return "<table>" + "".join(rows) + "</table>"


def title(name: str, mine: Progress, everyone: Progress, sequences: int, patients: int) -> str:
    """The head of the page with everyone's progress."""
    counts = (
        f"<b>{escape(name)}</b>: {mine.sequences} sequences, {mine.patients} patients, {mine.frames} frames &middot; "
        f"<b>all</b>: {everyone.sequences} of {sequences} sequences, {everyone.patients} of {patients} patients, "
        f"{everyone.frames} frames"
    )
    return f'<h1>CineTrack labelling</h1><span class="counts">{counts}</span>'


def message(text: str, bad: bool = False) -> str:
    """One line of what happened or what to do."""
    return f'<span role="status" class="{"bad" if bad else "good"}">{escape(text)}</span>'


def progress_bar(done: int, total: int, seconds: float) -> str:
    """How far propagation is, and when it will be done."""
    rate = done / seconds if seconds > 0 else 0.0
    left = (total - done) / rate if rate else 0.0
    text = f"Frame {done} of {total}, {rate:.1f} frames a second, {int(left) // 60}:{int(left) % 60:02d} left"
    return f'<span role="status">{text}</span><progress value="{done}" max="{total}"></progress>'


def data_url(picture: np.ndarray) -> str:
    """An (h, w, 3) uint8 picture for an img element."""
    return "data:image/jpeg;base64," + base64.b64encode(_jpeg(picture)).decode()


def picture_file(picture: np.ndarray, folder: Path, sequence: str, index: int) -> Path:
    """An (h, w, 3) uint8 picture as a new file, whose name the browser sends back with the boxes drawn on it.

    Args:
        sequence: says whose picture it is; unlike any other workspace's.
    """
    path = folder / f"{sequence}-{index}-{secrets.token_hex(4)}.jpg"
    path.write_bytes(_jpeg(picture))
    return path


def _jpeg(picture: np.ndarray) -> bytes:
    ok, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    assert ok
    return data.tobytes()
