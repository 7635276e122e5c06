"""Manifests of format 1, from before the method was one chain, as manifests of today.

{"name": ...,
 "tracker": {"kind": "sam2", "config", "checkpoint", "region_px", "motion_compensation": {"outline_weight"}}
          | {"kind": "registration", ...settings of the flow} | {"kind": "static"},
 "refiner": null | {"folder", "folds", "checkpoint", "window", "tile_step_size", "mirroring", "region_px",
                    "outline_weight", "tracker_weight", "reach_px", "confidence", "presets"},
 "box_segmenter": ..., "files": {...}}

With `region_px` the refiner worked within motion compensation, and is now one of the sources; without, it redrew the
tracker's masks, and is now post-processing. Settings that are no more are passed over, with a warning where they could
change a mask.
"""

from __future__ import annotations

import logging
from typing import Any

from cinetrack.errors import BundleError
from cinetrack.settings import expect_keys

logger = logging.getLogger(__name__)

# What a registration tracker could set; either of today's flows, or nothing we know.
_FLOW = {
    "finest_scale": 1,
    "gradient_descent_iterations": 25,
    "variational_refinement_iterations": 5,
    "window_percentiles": [0.5, 99.5],
}
_FLEXIBLE = {"patch_size_px": 8, "patch_stride_px": 3, "smoothness_weight": 20.0, "gradient_constancy_weight": 10.0}
_SMOOTH = {"patch_size_px": 10, "patch_stride_px": 4, "smoothness_weight": 40.0, "gradient_constancy_weight": 20.0}
_REFINER = ("folder", "folds", "checkpoint", "window", "tile_step_size", "mirroring")
_REFINER_IN_PLACE = ("region_px", "outline_weight", "tracker_weight")
_REFINER_DROPPED = ("reach_px", "confidence", "presets")


def translated(document: dict[str, Any]) -> dict[str, Any]:
    """The manifest in today's format. Raises BundleError for what format 1 did not allow either."""
    expect_keys(document, "bundle", ("name", "tracker", "refiner", "files"), optional=("box_segmenter",))
    stabilisation, sources = _tracker(document["tracker"])
    refiner = document["refiner"]
    redraw: list[dict[str, Any]] = []
    if refiner is not None:
        expect_keys(refiner, "refiner", ("folder",), (*_REFINER, *_REFINER_IN_PLACE, *_REFINER_DROPPED))
        _warn_of_dropped(refiner)
        model = {"kind": "nnunet", **{key: refiner[key] for key in _REFINER if key in refiner}}
        if refiner.get("region_px") is None:
            redraw = [model]
        else:
            stabilisation, sources = _beside_refiner(document["tracker"], sources, stabilisation, refiner)
            sources.append({**model, "region_px": refiner["region_px"]})
    segmenter = {"box_segmenter": document["box_segmenter"]} if "box_segmenter" in document else {}
    return {
        "format": 2,
        "name": document["name"],
        "stabilisation": stabilisation,
        "sources": sources,
        "postprocessing": [*redraw, {"kind": "fill_holes"}],
        **segmenter,
        "files": document["files"],
    }


def _tracker(tracker: Any) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    kind = tracker.get("kind") if isinstance(tracker, dict) else None
    if kind == "static":
        expect_keys(tracker, "tracker", ("kind",), ())
        return None, [{"kind": "outline"}]
    if kind == "registration":
        expect_keys(tracker, "tracker", ("kind",), (*_FLOW, *_FLEXIBLE))
        return {"flows": [_flow_name(tracker)]}, [{"kind": "outline"}]
    if kind != "sam2":
        raise BundleError(f"tracker.kind: expected one of sam2, registration, static, found {kind!r}")
    keys = ("kind", "config", "checkpoint")
    expect_keys(tracker, "tracker", keys, ("region_px", "motion_compensation"))
    sam2 = {key: tracker[key] for key in keys}
    if tracker.get("region_px") is not None:
        sam2["region_px"] = tracker["region_px"]
    compensation = tracker.get("motion_compensation")
    if compensation is None:
        return None, [sam2]
    expect_keys(compensation, "tracker.motion_compensation", (), ("outline_weight",))
    return {}, [*_outline(compensation.get("outline_weight")), sam2]


def _flow_name(tracker: dict[str, Any]) -> str:
    given = {key: value for key, value in tracker.items() if key != "kind"}
    for name, flow in (("flexible", _FLEXIBLE), ("smooth", _SMOOTH)):
        if {**_FLOW, **_FLEXIBLE, **given} == {**_FLOW, **flow}:
            return name
    raise BundleError(f"tracker: expected the settings of the flow flexible or smooth, found {given}")


def _beside_refiner(
    tracker: dict[str, Any],
    sources: list[dict[str, Any]],
    stabilisation: dict[str, Any] | None,
    refiner: dict[str, Any],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The stabilisation and the sources beside a refiner that worked within motion compensation."""
    if stabilisation is None:
        frames, found = f"{tracker['kind']} on frames as they are", refiner["region_px"]
        raise BundleError(f"refiner.region_px: expected none with {frames}, found {found}")
    if tracker["kind"] == "registration":  # its refiner saw frames along the chosen flow, not along its own
        return {}, _outline(refiner.get("outline_weight")) or [{"kind": "outline"}]
    weight = refiner.get("tracker_weight")
    if weight is None:
        logger.warning("refiner: it redrew SAM2's masks on stabilised frames; it now counts beside SAM2")
    sam2 = {**sources[-1], **({} if weight is None else {"weight": weight})}
    return stabilisation, [*_outline(refiner.get("outline_weight")), sam2]


def _outline(weight: float | None) -> list[dict[str, Any]]:
    return [] if weight is None else [{"kind": "outline", "weight": weight}]


def _warn_of_dropped(refiner: dict[str, Any]) -> None:
    # Beside an outline of 8 / weight px at most, a reach of as many pixels changed nothing.
    weight, reach = refiner.get("outline_weight"), refiner.get("reach_px")
    numbers = isinstance(weight, (int, float)) and isinstance(reach, (int, float))
    if reach is not None and not (numbers and reach * weight >= 24):
        logger.warning("refiner.reach_px: %s px is no longer a limit to the refiner's changes", reach)
    if refiner.get("confidence", 0.5) != 0.5:
        logger.warning("refiner.confidence: %s no longer decides about the refiner's changes", refiner["confidence"])
