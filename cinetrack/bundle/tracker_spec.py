"""The tracker of a `bundle.json`, and how it is read."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from cinetrack.bundle.manifest_values import expect_keys, inside
from cinetrack.errors import BundleError, InputError
from cinetrack.tracking.motion_compensation import MotionCompensation
from cinetrack.tracking.optical_flow import FlowSettings
from cinetrack.tracking.region import check_region


@dataclass(frozen=True)
class StaticSpec:
    """The first mask copied; no settings."""

    kind: str = "static"


@dataclass(frozen=True)
class RegistrationSpec:
    """Dense registration with its settings."""

    settings: FlowSettings = FlowSettings()
    kind: str = "registration"


@dataclass(frozen=True)
class Sam2Spec:
    """SAM2.

    Attributes:
        config: the name of one of sam2's own configurations, or of a yaml in the bundle.
        checkpoint: in the bundle.
        region_px: side of the target's surroundings that it is shown; None for whole frames, as in the paper.
        motion_compensation: how it is shown frames that registration has warped onto the first; None, as in the paper,
            for frames as they are.
    """

    config: str
    checkpoint: str
    region_px: int | None = None
    motion_compensation: MotionCompensation | None = None
    kind: str = "sam2"

    def __post_init__(self) -> None:
        if self.region_px is not None:
            check_region(self.region_px)


TrackerSpec = StaticSpec | RegistrationSpec | Sam2Spec


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)  # json's true and false are none


# By the annotation of a field of `FlowSettings`: what a manifest has to hold there, in words and as a check.
_FLOW_VALUES = {
    "int": ("a whole number", lambda value: type(value) is int),
    "float": ("a number", _is_number),
    "tuple[float, float]": (
        "two numbers",
        lambda value: isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)),
    ),
}


def is_published(config: str) -> bool:
    """Whether a configuration is one of sam2's own."""
    from cinetrack.tracking.sam2.architecture import is_published_config  # imports torch: only for SAM2 bundles

    return is_published_config(config)


def read_tracker(value: Any) -> TrackerSpec:
    """The `tracker` of a manifest. Raises BundleError for an unknown kind or key, or a value out of its range."""
    kinds = ("sam2", "registration", "static")
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind not in kinds:
        raise BundleError(f"tracker.kind: expected one of {', '.join(kinds)}, found {kind!r}")
    if kind == "sam2":
        expect_keys(value, "tracker", ("kind", "config", "checkpoint"), optional=("region_px", "motion_compensation"))
        for key in ("config", "checkpoint"):
            if not isinstance(value[key], str):
                raise BundleError(f"tracker.{key}: expected a file name, found {value[key]!r}")
        config, checkpoint = inside(value["config"]), inside(value["checkpoint"])
        compensation = _read_motion_compensation(value.get("motion_compensation"))
        try:
            return Sam2Spec(config, checkpoint, value.get("region_px"), compensation)
        except InputError as error:
            raise BundleError(f"tracker.region_px: {error}") from None
    if kind == "static":
        expect_keys(value, "tracker", ("kind",), optional=())
        return StaticSpec()
    kinds_of_settings = {field.name: field.type for field in dataclasses.fields(FlowSettings)}
    expect_keys(value, "tracker", ("kind",), optional=set(kinds_of_settings))
    given = {key: setting for key, setting in value.items() if key in kinds_of_settings}
    for key, setting in given.items():
        expected, is_right = _FLOW_VALUES[kinds_of_settings[key]]
        if not is_right(setting):
            raise BundleError(f"tracker.{key}: expected {expected}, found {setting!r}")
    if "window_percentiles" in given:
        given["window_percentiles"] = tuple(given["window_percentiles"])
    try:
        return RegistrationSpec(FlowSettings(**given))
    except InputError as error:
        raise BundleError(str(error)) from None


def _read_motion_compensation(value: Any) -> MotionCompensation | None:
    if value is None:
        return None
    expect_keys(value, "tracker.motion_compensation", (), optional=("outline_weight",))
    try:
        return MotionCompensation(**value)
    except InputError as error:
        raise BundleError(f"tracker.motion_compensation: {error}") from None
