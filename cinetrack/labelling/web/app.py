"""The app put together: components, callbacks, which event calls which."""

from __future__ import annotations

from typing import Any

import gradio as gr

from cinetrack.labelling.service import LabellingService
from cinetrack.labelling.web.callbacks import Callbacks, Updates
from cinetrack.labelling.web.identity import Identity
from cinetrack.labelling.web.layout import lay_out

CACHE_S = 3600  # pictures and films that browsers were sent are deleted after this long


def build_app(service: LabellingService, identity: Identity) -> gr.Blocks:
    """The labelling app, not yet launched."""
    with gr.Blocks(
        title="CineTrack labelling", analytics_enabled=False, fill_width=True, delete_cache=(CACHE_S, CACHE_S)
    ) as app:
        page = lay_out(identity.hub_sign_in)
        does = Callbacks(service, identity, page)
        everything = list(vars(page).values())
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        # Payloads that hold the annotator's picture are taken raw: no file is read on a browser's word.
        raw: dict[str, Any] = {**quiet, "preprocess": False}

        def stroke(
            frame: Any, target: Any, tool: Any, radius: Any, event: gr.EventData, request: gr.Request
        ) -> Updates:
            return does.stroke(event._data, frame, target, tool, radius, request)

        place = [page.frame, page.tool]
        drawn = [page.boxes, *place]
        loaded = app.load(does.load, [page.memory], everything, **quiet)
        page.boxes.change(does.boxes_drawn, [page.boxes], everything, trigger_mode="always_last", **raw)
        page.masks.click(does.make_masks, [page.boxes, page.frame, page.target, page.tool], everything, **raw)
        page.canvas.select(
            stroke, [page.frame, page.target, page.tool, page.radius], everything, trigger_mode="multiple", **raw
        )
        propagated = page.propagate.click(does.propagate, drawn, everything, trigger_mode="once", **raw)
        page.cancel.click(does.cancel, None, everything, queue=False, **quiet)
        page.frame.change(does.show_frame, place, everything, trigger_mode="always_last", **raw)
        page.tool.change(does.show_frame, place, everything, trigger_mode="always_last", **raw)
        undone = page.undo.click(does.undo, place, everything, **raw)
        cleared = page.clear.click(does.clear, None, everything, **quiet)
        accepted = page.accept.click(does.accept, [page.boxes, page.tool], everything, trigger_mode="once", **raw)
        set_aside = page.bad.click(does.set_aside, [page.comment], everything, trigger_mode="once", **quiet)
        returned = page.last.click(does.back_to_last, None, everything, trigger_mode="once", **quiet)
        skipped = page.skip.click(does.skip, None, everything, trigger_mode="once", **quiet)
        opened = page.open.click(does.open_sequence, [page.sequence], everything, trigger_mode="once", **raw)
        windowed = [
            slider.release(does.set_window, [page.level, page.width, *place], everything, **raw)
            for slider in (page.level, page.width)
        ]
        # The film takes a second or two: it follows what the person waits for.
        for event in (loaded, propagated, undone, cleared, accepted, set_aside, returned, skipped, opened, *windowed):
            event.then(does.film, None, [page.film, page.message], **quiet)
        app.unload(does.unload)
    return app
