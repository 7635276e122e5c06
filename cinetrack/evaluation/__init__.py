"""Scores predictions as the TrackRAD2025 challenge does, and compares models by those scores."""

from cinetrack.evaluation.case_metrics import CaseMetrics, case_metrics
from cinetrack.evaluation.frame_metrics import FrameMetrics, frame_metrics

__all__ = ["CaseMetrics", "FrameMetrics", "case_metrics", "frame_metrics"]
