"""What a user decides about a fine-tuning run; everything else is SAM2's own recipe.

The defaults are the paper's: SAM2's MOSE fine-tune configuration with 5.0e-6 for the image encoder and 3.0e-6
elsewhere (the MOSE file has the two the other way round), 40 epochs, all parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cinetrack.errors import InputError
from cinetrack.phantom.clips import ClipConfig
from cinetrack.settings import Settings, setting
from cinetrack.tracking.region import SMALLEST_REGION_PX

PRECISIONS = ("auto", "float32", "bfloat16", "float16")
SMALLEST_IMAGE_PX = 64


@dataclass(frozen=True)
class PhantomSource:
    """Clips of the phantom, drawn anew for every epoch.

    Attributes:
        clips: number of clips drawn for each epoch.
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
class Recipe(Settings):
    """Settings of a run."""

    image_size_px: int | None = setting(
        None,
        low=SMALLEST_IMAGE_PX,
        unit="px",
        help="side to which frames are resized in training; smaller is faster and coarser (default: the "
        "architecture's)",
    )
    inference_size_px: int | None = setting(
        None,
        low=SMALLEST_IMAGE_PX,
        unit="px",
        help="side to which frames are resized in validation, and later in tracking: small clips can be trained on as "
        "if cut from larger pictures (default: as in training)",
    )
    inference_region_px: int | None = setting(
        None,
        low=SMALLEST_REGION_PX,
        unit="px",
        help="side of the square around the target that validation tracks in, as the bundle's --region will be "
        "(default: whole frames)",
    )
    region_px: tuple[int, ...] | None = setting(
        None,
        low=SMALLEST_REGION_PX,
        unit="px",
        help="train on squares around the targets, each of a side drawn between these two (default: whole frames)",
    )
    stabilise: bool = setting(
        False,
        help="train and validate on frames that registration has warped onto the first one (default: frames as they "
        "are)",
    )
    epochs: int = setting(40, low=1, help="length of the training, in epochs")
    clip_frames: int = setting(
        8,
        low=1,
        unit="frames",
        help="consecutive frames of each clip; more teach SAM2 to remember for longer and take more GPU memory; clips "
        "of one frame are prompted with boxes and points alone",
    )
    max_objects: int = setting(
        3, low=1, help="most targets of a clip; where it has more, some are drawn at random, and fewer take less memory"
    )
    batch_clips: int = setting(1, low=1, unit="clips", help="clips that one device trains on at a time")
    accumulate: int = setting(
        1,
        low=1,
        unit="batches",
        help="batches whose gradients are added up for one step of the optimiser: raise it where the GPU's memory "
        "allows no "
        "larger --batch-clips",
    )
    image_encoder_lr: float = setting(
        5.0e-6,
        low=0,
        help="learning rate of the image encoder; 0 leaves it unchanged, which takes less time and memory",
    )
    other_lr: float = setting(3.0e-6, above=0, help="learning rate of everything but the image encoder")
    final_lr_share: float = setting(
        0.1,
        low=0,
        high=1,
        help="learning rates at the end of the training as a share of those at its start, along a cosine",
    )
    warmup_share: float = setting(
        0.0,
        low=0,
        high=0.9,
        help="share of the training in which the learning rates rise from a tenth to their full value",
    )
    layer_decay: float = setting(
        0.9,
        above=0,
        help="factor of the image encoder's learning rate from each layer to the one before it, 1 for one rate; below "
        "1 the "
        "early layers change less",
    )
    precision: str = setting(
        "auto",
        choices=PRECISIONS,
        help="number type of the forward pass; auto is bfloat16 on GPUs that have it and with --slurm, float16 on "
        "older GPUs, float32 on a CPU; try float32 where the loss is not finite",
    )
    workers: int = setting(
        4, low=0, help="processes that prepare clips, for each GPU; more where the GPU waits for clips"
    )
    multiplier: int = setting(2, low=1, help="number of clips drawn from each case in each epoch")
    validate_every: int = setting(5, low=1, unit="epochs", help="number of epochs from one validation to the next")
    seed: int = setting(123, low=0, help="decides the split, the clips and the augmentation")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.region_px is not None and not (len(self.region_px) == 2 and self.region_px[0] <= self.region_px[1]):
            raise InputError(f"region_px: expected two sides in ascending order, found {self.region_px}")


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
