"""What was found, as a table for people."""

from __future__ import annotations

from pathlib import Path

from cinetrack.clinic.importing.case_plan import OPTIONS, CasePlan

HEADINGS = (
    "case",
    "format",
    "source",
    "plane",
    "frames",
    "rows x columns",
    "mm",
    "Hz",
    "T",
    "region",
    "masks",
    "missing",
)


def table_of(plans: list[CasePlan], root: Path, masks: dict[str, str]) -> str:
    """One line a series.

    Args:
        root: sources are shown relative to it.
        masks: where each case's masks come from, by case id.
    """
    rows = [HEADINGS] + [_row(plan, root, masks.get(plan.case_id, "-")) for plan in plans]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(plan: CasePlan, root: Path, masks: str) -> tuple[str, ...]:
    series, grid = plan.series, plan.grid
    path = series.path.relative_to(root) if series.path.is_relative_to(root) and series.path != root else series.path
    spacing = "?" if grid.spacing_mm is None else " x ".join(f"{mm:.4g}" for mm in grid.spacing_mm)
    return (
        plan.case_id,
        series.format,
        f"{path} {series.description}".strip(),
        grid.placement.plane if grid.placement else "?",
        str(series.frame_count),
        f"{grid.rows} x {grid.columns}",
        spacing,
        _number(plan.frame_rate_hz),
        _number(plan.field_strength_t),
        plan.region or "?",
        masks,
        ", ".join(OPTIONS[name] for name in plan.missing) or "-",
    )


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"
