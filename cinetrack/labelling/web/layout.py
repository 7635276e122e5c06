"""The page: which components there are and where. What they do is in `callbacks`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from gradio_image_annotation import image_annotator

from cinetrack.labelling.label import COMMENT_LIMIT
from cinetrack.labelling.web import pieces

HERE = Path(__file__).resolve().parent
BOX, ADD, REMOVE, BRUSH, ERASER = TOOLS = ("Box", "Add point", "Remove point", "Brush", "Eraser")
CANVAS = '<div class="picture"><img src="${value}" alt="current frame" draggable="false"><canvas></canvas></div>'


@dataclass(frozen=True)
class Page:
    """The components that callbacks read or change."""

    memory: gr.BrowserState
    title: gr.HTML
    message: gr.HTML
    boxes: image_annotator
    canvas: gr.HTML
    tool: gr.Radio
    target: gr.Radio
    radius: gr.Slider
    frame: gr.Slider
    facts: gr.HTML
    film: gr.Video
    level: gr.Slider
    width: gr.Slider
    objects: gr.HTML
    masks: gr.Button
    propagate: gr.Button
    cancel: gr.Button
    undo: gr.Button
    clear: gr.Button
    accept: gr.Button
    comment: gr.Textbox
    bad: gr.Button
    last: gr.Button
    skip: gr.Button
    sequence: gr.Dropdown
    open: gr.Button


def lay_out(hub_sign_in: bool) -> Page:
    """Make the components inside the current gr.Blocks."""
    # The fixed secret lets a browser's memory outlive the server; it holds a drawing, nothing secret.
    memory = gr.BrowserState({}, storage_key="cinetrack-label", secret="cinetrack-label")
    title = gr.HTML(elem_id="title")
    if hub_sign_in:
        gr.LoginButton()
    message = gr.HTML(pieces.message("Loading a sequence ..."), elem_id="message")
    with gr.Row():
        with gr.Column(scale=3, min_width=320):
            with gr.Row(elem_id="tools"):
                tool = gr.Radio(list(TOOLS), value=BOX, label="Tool", elem_id="tool", scale=5, min_width=260)
                target = gr.Radio([1], value=1, label="Object", elem_id="target", scale=2, min_width=120)
            frame = gr.Slider(0, 1, value=0, step=1, label="Frame", elem_id="frame", interactive=True, visible="hidden")
            boxes = image_annotator(
                elem_id="boxes", sources=[], show_label=False, disable_edit_boxes=True, box_min_size=4,
                show_clear_button=False, show_download_button=False, show_share_button=False, boxes_alpha=0.0,
                handle_size=10, container=False,
            )  # fmt: skip
            canvas = gr.HTML(
                elem_id="canvas", html_template=CANVAS, visible="hidden", js_on_load=(HERE / "canvas.js").read_text()
            )
            radius = gr.Slider(
                1, 20, value=4, step=1, label="Brush radius (pixels)", elem_id="radius", visible="hidden"
            )
        with gr.Column(scale=2, min_width=280):
            with gr.Row():
                masks = gr.Button("1 Masks", variant="primary", elem_id="masks", min_width=90)
                propagate = gr.Button("2 Propagate", elem_id="propagate", min_width=90)
                accept = gr.Button("3 Accept", elem_id="accept", min_width=90)
            with gr.Row():
                cancel = gr.Button("Cancel", elem_id="cancel", size="sm", interactive=False, min_width=60)
                undo = gr.Button("Undo", elem_id="undo", size="sm", min_width=60)
                clear = gr.Button("Clear", elem_id="clear", size="sm", min_width=60)
            objects = gr.HTML(elem_id="objects")
            film = gr.Video(
                elem_id="film",
                label="The sequence",
                autoplay=True,
                loop=True,
                interactive=False,
                buttons=[],
                height=260,
            )
            facts = gr.HTML(elem_id="facts")
            with gr.Accordion("Window and level", open=False):
                level = gr.Slider(0, 1, value=0.5, step=0.01, label="Level", elem_id="level")
                width = gr.Slider(0.05, 2, value=1, step=0.05, label="Window", elem_id="width")
            with gr.Accordion("Bad image", open=False):
                comment = gr.Textbox(
                    label="What is wrong with it?", elem_id="comment", max_length=COMMENT_LIMIT, max_lines=3
                )
                bad = gr.Button("Set this sequence aside", elem_id="bad", variant="stop", size="sm")
            with gr.Accordion("Other sequences", open=False):
                last = gr.Button("Back to my last one", elem_id="last", size="sm")
                skip = gr.Button("Another one, leave this for later", elem_id="skip", size="sm")
                sequence = gr.Dropdown([], label="Patient and status", elem_id="sequence")
                open_button = gr.Button("Open", elem_id="open", size="sm")
            with gr.Accordion("Help", open=False):
                gr.Markdown(pieces.HELP)
    return Page(
        memory, title, message, boxes, canvas, tool, target, radius, frame, facts, film, level, width, objects, masks,
        propagate, cancel, undo, clear, accept, comment, bad, last, skip, sequence, open_button,
    )  # fmt: skip
