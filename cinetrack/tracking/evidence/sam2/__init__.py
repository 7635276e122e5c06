"""SAM2 as a source. The one adapter to sam2: its model, its image transform and its memory bank, as a stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cinetrack.settings import Settings, setting
from cinetrack.tracking.evidence.source import Source
from cinetrack.tracking.region import SMALLEST_REGION_PX


@dataclass(frozen=True)
class Sam2Settings(Settings):
    """Settings of SAM2."""

    kind: ClassVar[str] = "sam2"
    on_device: ClassVar[bool] = True

    config: str = setting(help="file name of one of sam2's own SAM2.1 configurations, or of a yaml in the bundle")
    checkpoint: str = setting(help="file name of the weights in the bundle")
    region_px: int | None = setting(
        None,
        low=SMALLEST_REGION_PX,
        unit="px",
        help="side of the square around the target that SAM2 sees, larger around large targets: small targets are "
        "magnified, and the cost does not grow with the frame (default: whole frames, as in the paper)",
    )
    weight: float = setting(1.0, above=0, help="what SAM2's log-odds are multiplied with in the sum")

    @property
    def has_published_config(self) -> bool:
        """Whether the configuration is one of sam2's own."""
        from cinetrack.tracking.evidence.sam2.architecture import is_published_config  # imports torch

        return is_published_config(self.config)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it is loaded from, relative to the bundle."""
        return (self.checkpoint,) if self.has_published_config else (self.checkpoint, self.config)

    def load(self, folder: Path, device: str) -> Source:
        """The source. Raises BundleError where configuration or weights are unusable."""
        from cinetrack.tracking.device import choose_device, native_precision
        from cinetrack.tracking.evidence.sam2.source import Sam2Source

        chosen = choose_device(device)
        return Sam2Source.load(
            self.config,
            folder / self.checkpoint,
            folder,
            chosen,
            native_precision(chosen),
            region_px=self.region_px,
            weight=self.weight,
        )
