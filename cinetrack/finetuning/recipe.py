"""What a user decides about a fine-tuning run; everything else is SAM2's own recipe.

The defaults are the paper's: SAM2's MOSE fine-tune configuration with 5.0e-6 for the image encoder and 3.0e-6
elsewhere (the MOSE file has the two the other way round), 40 epochs, all parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cinetrack.errors import InputError
from cinetrack.phantom.clips import ClipConfig
from cinetrack.tracking.region import check_region

PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class PhantomSource:
    """Clips of the phantom, drawn anew for every epoch.

    Attributes:
        clips: an epoch.
        size_px: range of the square frames' side, from which the training transforms resize them.
        config: what to draw.
    """

    clips: int
    size_px: tuple[int, int] = (256, 256)
    config: ClipConfig = ClipConfig()

    def __post_init__(self) -> None:
        if self.clips < 1:
            raise InputError(f"phantom clips: expected 1 or more an epoch, found {self.clips}")
        if not 125 <= self.size_px[0] <= self.size_px[1] <= 400:
            raise InputError(f"phantom clips: expected a range of sizes within 125 to 400 px, found {self.size_px}")


@dataclass(frozen=True)
class Recipe:
    """Settings of a run.

    Attributes:
        image_size_px: side of the square the network sees; None for the architecture's own.
        inference_size_px: the same for validation and the run's tracker.yaml; None for the training's. Small clips
            can be trained on as if cut from larger pictures.
        inference_region_px: side of the target's surroundings that validation tracks in; None for whole frames.
        region_px: range of the side of the surroundings that clips are cut down to; None for whole frames.
        stabilise: train and validate on frames that are warped onto the first.
        epochs: passes over the clips.
        clip_frames: consecutive frames a clip; of a single one, the prompts are boxes and points.
        max_objects: of a clip, drawn where it has more.
        batch_clips: clips of one step on one device; `accumulate` such steps make an optimiser step.
        image_encoder_lr, other_lr: AdamW's rates at the start; cosine to `final_lr_share` of them. With an image
            encoder's rate of 0 it is frozen, and costs no backward pass.
        warmup_share: share of the run in which the rates rise linearly from a tenth.
        layer_decay: factor of the rate from one layer of the image encoder's trunk to the one before it.
        precision: of the forward pass; auto is bfloat16 where the device has it, else float16 with loss scaling.
        workers: processes that prepare clips, on each device.
        multiplier: clips a case an epoch.
        validate_every: epochs between validations.
    """

    image_size_px: int | None = None
    inference_size_px: int | None = None
    inference_region_px: int | None = None
    region_px: tuple[int, int] | None = None
    stabilise: bool = False
    epochs: int = 40
    clip_frames: int = 8
    max_objects: int = 3
    batch_clips: int = 1
    accumulate: int = 1
    image_encoder_lr: float = 5.0e-6
    other_lr: float = 3.0e-6
    final_lr_share: float = 0.1
    warmup_share: float = 0.0
    layer_decay: float = 0.9
    precision: str = "auto"
    workers: int = 4
    multiplier: int = 2
    validate_every: int = 5
    seed: int = 123

    def __post_init__(self) -> None:
        counts = ("epochs", "clip_frames", "max_objects", "batch_clips", "accumulate", "multiplier", "validate_every")
        for name in counts:
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected 1 or more, found {getattr(self, name)}")
        if self.workers < 0:
            raise InputError(f"workers: expected 0 or more, found {self.workers}")
        if not self.image_encoder_lr >= 0:
            raise InputError(f"image_encoder_lr: expected 0 or more, found {self.image_encoder_lr}")
        for name in ("other_lr", "layer_decay"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}: expected a positive number, found {getattr(self, name)}")
        for name, highest in (("final_lr_share", 1.0), ("warmup_share", 0.9)):
            if not 0 <= getattr(self, name) <= highest:
                raise InputError(f"{name}: expected 0 to {highest}, found {getattr(self, name)}")
        for size_px in (self.image_size_px, self.inference_size_px):
            if size_px is not None and size_px < 64:
                raise InputError(f"image size: expected 64 or more, found {size_px}")
        if self.inference_region_px is not None:
            check_region(self.inference_region_px)
        if self.region_px is not None:
            for side_px in self.region_px:
                check_region(side_px)
            if self.region_px[0] > self.region_px[1]:
                raise InputError(f"region: expected a range in ascending order, found {self.region_px}")
        if self.seed < 0:
            raise InputError(f"seed: expected 0 or more, found {self.seed}")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision: expected one of {', '.join(PRECISIONS)}, found {self.precision}")


@dataclass(frozen=True)
class TrainingData:
    """Where clips come from: cases on disk, the phantom, or both.

    Attributes:
        folders: datasets in TrackRAD2025's format; cases with labels of every frame are trained on.
        pseudo_labels: folders that `cinetrack propagate` wrote for series of `folders`.
        phantom: clips made on the fly.
    """

    folders: tuple[Path, ...] = ()
    pseudo_labels: tuple[Path, ...] = ()
    phantom: PhantomSource | None = None
