"""From a found series and the options given to what a case needs: nothing is guessed that neither of them says."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cinetrack.clinic.grid import Grid, Turn, opposite_name, turn_by_placement, turn_by_top
from cinetrack.clinic.importing.found_series import FoundSeries
from cinetrack.errors import InputError

MOST_FIELD_T = 20.0  # stronger than any scanner: the number is in another unit
OPTIONS = {
    "frame rate": "--frame-rate HZ",
    "field strength": "--field-strength TESLA",
    "scanned region": "--region WORD",
    "pixel spacing": "--pixel-spacing MM",
    "orientation": "--top head|feet",
}


@dataclass(frozen=True)
class GivenValues:
    """What the person who imports says; each goes before what the files say. None: as the files say.

    Attributes:
        spacing_mm: (row, column) of the frames as the source has them.
        top: what the sources' first row shows, "head" or "feet".
    """

    frame_rate_hz: float | None = None
    field_strength_t: float | None = None
    region: str | None = None
    spacing_mm: tuple[float, float] | None = None
    top: str | None = None


@dataclass(frozen=True, eq=False)
class CasePlan:
    """A series and the name and values that its case gets. None is what nobody said.

    Attributes:
        name: of the patient's folder.
        scan: "" for the patient's first series, "2", "3", ... for others.
        grid: of the source's frames, with the spacing given.
    """

    series: FoundSeries
    name: str
    scan: str
    grid: Grid
    turn: Turn | None
    frame_rate_hz: float | None
    field_strength_t: float | None
    region: str | None
    notes: tuple[str, ...]

    @property
    def case_id(self) -> str:
        """The case's name, as `cinetrack predict` calls it."""
        return f"{self.name}_scan{self.scan}" if self.scan else self.name

    @property
    def orientation(self) -> str:
        """How the frames come to lie as the challenge's do, and why, for people."""
        if self.turn is None:
            return "not known"
        placement = self.grid.placement
        if placement is None:
            return f"{self.turn} (by --top)"
        turned = self.grid.turned(self.turn).placement if self.grid.spacing_mm else None
        ends = f", row 0 at the {opposite_name(turned.along_column)}" if turned else ""
        return f"{placement.plane} by the direction cosines{ends}; {self.turn}"

    @property
    def missing(self) -> list[str]:
        """What neither the source nor an option says."""
        values = {
            "frame rate": self.frame_rate_hz,
            "field strength": self.field_strength_t,
            "scanned region": self.region,
            "pixel spacing": self.grid.spacing_mm,
            "orientation": self.turn,
        }
        return [name for name, value in values.items() if value is None]

    def check_complete(self) -> None:
        """Raise InputError that names each missing value and its option."""
        if missing := self.missing:
            options = ", ".join(OPTIONS[name] for name in missing)
            raise InputError(
                f"{self.series.path}: expected the {', '.join(missing)} in the file, found none; give {options}"
            )


def plan_cases(found: list[FoundSeries], given: GivenValues, prefix: str) -> list[CasePlan]:
    """Name the cases: a folder a patient (and field strength, which a folder has one of), its series numbered.

    Numbers, not the sources' names or patients' identifiers, so that a case's name says nothing of the patient.
    """
    folders: dict[tuple[str, float | None], str] = {}
    scans: dict[str, int] = {}
    plans = []
    for series in found:
        plan = _plan(series, given)
        key = (series.patient, plan.field_strength_t)
        name = folders.setdefault(key, f"{prefix}_{len(folders) + 1:03d}")
        scans[name] = scans.get(name, 0) + 1
        plans.append(replace(plan, name=name, scan="" if scans[name] == 1 else str(scans[name])))
    return plans


def _plan(series: FoundSeries, given: GivenValues) -> CasePlan:
    notes = list(series.notes)
    rate = series.times.frame_rate_hz if series.times is not None else series.stated_rate_hz
    if series.times is not None and series.times.irregularity:
        notes.append(f"{series.times.stated_in}: {series.times.irregularity}")
    field = series.field_strength_t
    if field is not None and not 0 < field <= MOST_FIELD_T:
        notes.append(f"field strength: expected tesla, found {field:g}; not taken")
        field = None
    grid = series.grid if given.spacing_mm is None else replace(series.grid, spacing_mm=given.spacing_mm)
    notes += _differences(
        ("frame rate", "Hz", given.frame_rate_hz, rate),
        ("field strength", "T", given.field_strength_t, field),
        (
            "row spacing",
            "mm",
            given.spacing_mm and given.spacing_mm[0],
            series.grid.spacing_mm and series.grid.spacing_mm[0],
        ),
    )
    if given.region and series.region and given.region != series.region:
        notes.append(f"scanned region: {given.region} as given, where the source says {series.region}")
    if given.top is not None:
        if grid.placement is not None:
            notes.append("orientation: by --top; the source's direction cosines are not used")
            grid = replace(grid, placement=None)
        turn: Turn | None = turn_by_top(given.top)
    else:
        turn = None if grid.placement is None else turn_by_placement(grid.placement)
    return CasePlan(
        series,
        name="",
        scan="",
        grid=grid,
        turn=turn,
        frame_rate_hz=given.frame_rate_hz or rate,
        field_strength_t=given.field_strength_t or field,
        region=given.region or series.region,
        notes=tuple(notes),
    )


def _differences(*values: tuple[str, str, float | None, float | None]) -> list[str]:
    return [
        f"{name}: {mine:g} {unit} as given, where the source says {theirs:.6g}"
        for name, unit, mine, theirs in values
        if mine is not None and theirs is not None and abs(mine - theirs) > 0.01 * theirs
    ]
