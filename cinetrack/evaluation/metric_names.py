"""The metrics and their keys in metrics.json, written once: the commands, the report and the docs read this list.

The keys are those of the TrackRAD2025 evaluation. The challenge takes a pixel as its unit of length; the same
distances in millimetres have the key followed by `_mm`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric of the challenge: its key in metrics.json and how people write it."""

    key: str
    label: str
    unit: str
    higher_is_better: bool
    decimals: int
    meaning: str

    @property
    def title(self) -> str:
        """Label with unit, for the head of a table."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label


DICE = Metric("dice_similarity_coefficient", "DSC", "", True, 4, "overlap of predicted and true mask, 0 to 1")
HD95 = Metric("hausdorff_distance_95", "HD95", "px", False, 3, "95th percentile of the distances between the outlines")
MASD = Metric("surface_distance_average", "MASD", "px", False, 3, "mean distance of predicted to true outline")
CENTER = Metric("center_distance", "Centre dist.", "px", False, 3, "distance between the centres of mass")
DOSE = Metric("relative_d98_dose", "Rel. D98", "", True, 4, "dose to 98 % of the target over the planned one")
RUNTIME = Metric("runtime", "Runtime", "s", False, 2, "mean seconds a case without loading")
TIME_PER_FRAME = Metric("time_per_frame", "Time/frame", "s", False, 4, "slope of total seconds over frames")

GEOMETRIC = (DICE, HD95, MASD, CENTER)
DISTANCES = (HD95, MASD, CENTER)
ACCURACY = (*GEOMETRIC, DOSE)
RANKED = (*ACCURACY, RUNTIME)

SPREADS = ("std", "min", "max")  # prefixes of the geometric metrics' spread over a case's frames
RUNTIME_AGGREGATES = ("runtime", "loading_time", "time_per_frame", "total_time")


def millimetre_key(metric: Metric) -> str:
    """Key of a distance in mm, beside the challenge's key in pixels."""
    return f"{metric.key}_mm"
