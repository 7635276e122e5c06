"""The report's section on a gated beam."""

from __future__ import annotations

import numpy as np

from cinetrack.gating.dataset_gating import GatedCase
from cinetrack.report.gating_section import gating_section

RATE_HZ = 4.0


def case(with_truth: bool) -> GatedCase:
    times = np.arange(200) / RATE_HZ
    moved = np.stack([9 * np.sin(np.pi * times / 4.4) ** 2, 0 * times], axis=-1)
    planned = np.zeros((40, 40), dtype=bool)
    planned[10:20, 10:20] = True
    return GatedCase("A_001", planned, (1.5, 1.0), RATE_HZ, moved, moved if with_truth else None)


def test_duty_cycle_grows_with_the_margin_to_all_of_the_time():
    section = gating_section(case(with_truth=True))
    duty = section["curve"]["predicted"]["duty_cycle"]
    assert len(duty) == len(section["margins_mm"]) == len(section["true_duty_cycle"])
    assert all(a <= b + 0.02 for a, b in zip(duty, duty[1:], strict=False)) and duty[-1] > 0.95
    assert section["margins_mm"][-1] == 9.0
    assert 0 < section["duty_cycle"] < 1 and all(start < stop for start, stop in section["beam"])


def test_prediction_covers_the_target_better_than_the_measured_position():
    curve = gating_section(case(with_truth=True))["curve"]
    middle = len(curve["predicted"]["target_coverage"]) // 2
    assert curve["predicted"]["target_coverage"][middle] > curve["measured"]["target_coverage"][middle]


def test_without_truth_there_is_the_duty_cycle_alone():
    section = gating_section(case(with_truth=False))
    assert section["true_duty_cycle"] is None and section["curve"]["predicted"]["target_coverage"] == []


def test_a_target_that_is_always_lost_has_no_beam():
    lost = case(with_truth=True)
    object.__setattr__(lost, "moved_mm", np.full_like(lost.moved_mm, np.nan))
    section = gating_section(lost)
    assert section["beam"] == [] and section["duty_cycle"] == 0
