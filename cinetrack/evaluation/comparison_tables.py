"""A comparison as tables, and the tables as Markdown, CSV or LaTeX."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cinetrack.evaluation.comparison import Comparison, MetricChange, ModelSummary
from cinetrack.evaluation.metric_names import ACCURACY, TIME_PER_FRAME, Metric


@dataclass(frozen=True)
class Table:
    """A title, column heads and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def comparison_tables(comparison: Comparison) -> list[Table]:
    """The tables of a comparison: means, changes, places, and for each model the cases that got worse."""
    tables = [_means(comparison), _changes(comparison), _places(comparison)]
    baseline = comparison.models[0].name
    for model in comparison.models[1:]:
        rows = [row for change in model.changes for row in _worse_rows(change)]
        if rows:
            title = f"Cases worse with {model.name} than with {baseline}"
            tables.append(Table(title, ("Metric", "Case", baseline, model.name, "Change"), tuple(rows)))
    return tables


def as_markdown(tables: Sequence[Table]) -> str:
    """Pipe tables under third-level headings."""

    def one(table: Table) -> str:
        lines = [table.columns, ["---"] * len(table.columns), *table.rows]
        escaped = ("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
        return f"### {table.title}\n\n" + "\n".join(escaped) + "\n"

    return "\n".join(one(table) for table in tables)


def as_csv(tables: Sequence[Table]) -> str:
    """All tables in one file, each under a line with its title, with an empty line between."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for index, table in enumerate(tables):
        writer.writerows([[]] * (index > 0) + [[table.title], table.columns, *table.rows])
    return text.getvalue()


def as_latex(tables: Sequence[Table]) -> str:
    """`table` environments with booktabs rules."""

    def one(table: Table) -> str:
        body = " \\\\\n".join(" & ".join(_latex(cell) for cell in row) for row in table.rows)
        return (
            "\\begin{table}\n\\centering\n"
            f"\\caption{{{_latex(table.title)}}}\n"
            f"\\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}\n\\toprule\n"
            f"{' & '.join(_latex(column) for column in table.columns)} \\\\\n\\midrule\n"
            f"{body} \\\\\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
        )

    return "% needs \\usepackage{booktabs}\n" + "\n".join(one(table) for table in tables)


# The one list of formats: name on the command line -> (file ending, writer).
FORMATS: dict[str, tuple[str, Callable[[Sequence[Table]], str]]] = {
    "markdown": (".md", as_markdown),
    "csv": (".csv", as_csv),
    "latex": (".tex", as_latex),
}


def _means(comparison: Comparison) -> Table:
    columns = ("Model", *(metric.title for metric in ACCURACY), TIME_PER_FRAME.title)
    rows = []
    for model in comparison.models:
        rows.append((model.name, *(_number(model.means[m.key], m) for m in ACCURACY), _time(model)))
        intervals = (_interval(model.intervals[metric.key], metric) for metric in ACCURACY)
        rows.append(("95 % CI", *intervals, ""))
        if model.changes:
            time_change = _percent_change(comparison.models[0].time_per_frame, model.time_per_frame)
            rows.append(("change", *(_percent(change.percent) for change in model.changes), time_change))
    return Table(f"Means over {len(comparison.cases)} cases", columns, tuple(rows))


def _changes(comparison: Comparison) -> Table:
    baseline = comparison.models[0].name
    columns = ("Model", "Metric", "Cases", "Difference", "95 % CI", "Change", "p", "p (Holm)", "Better/worse/equal")
    rows = [
        (
            model.name,
            change.metric.title,
            str(change.cases),
            _number(change.difference, change.metric, sign=True),
            _interval(change.interval, change.metric, sign=True),
            _percent(change.percent),
            _p(change.p),
            _p(change.p_holm),
            f"{change.wins}/{change.losses}/{change.ties}",
        )
        for model in comparison.models[1:]
        for change in model.changes
    ]
    return Table(f"Paired differences to {baseline} (Wilcoxon signed-rank test)", columns, tuple(rows))


def _places(comparison: Comparison) -> Table:
    columns = ("Model", *(metric.label for metric in comparison.ranked), "Mean rank")
    rows = tuple(
        (model.name, *(str(model.ranks[metric.key]) for metric in comparison.ranked), f"{model.mean_rank:.2f}")
        for model in sorted(comparison.models, key=lambda model: model.mean_rank)
    )
    return Table("Places, ordered as the challenge orders submissions", columns, rows)


def _worse_rows(change: MetricChange) -> list[tuple[str, ...]]:
    metric = change.metric
    return [
        (
            metric.title,
            case.case_id,
            _number(case.baseline, metric),
            _number(case.other, metric),
            _number(case.other - case.baseline, metric, sign=True),
        )
        for case in change.worse
    ]


def _number(value: float, metric: Metric, sign: bool = False) -> str:
    return "n/a" if math.isnan(value) else f"{value:{'+' if sign else ''}.{metric.decimals}f}"


def _interval(bounds: tuple[float, float], metric: Metric, sign: bool = False) -> str:
    return f"{_number(bounds[0], metric, sign)} to {_number(bounds[1], metric, sign)}"


def _percent(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:+.2f} %"


def _percent_change(before: float | None, after: float | None) -> str:
    return _percent(100 * (after / before - 1)) if before and after else ""


def _time(model: ModelSummary) -> str:
    return "n/a" if model.time_per_frame is None else f"{model.time_per_frame:.{TIME_PER_FRAME.decimals}f}"


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _latex(text: str) -> str:
    for character in "%_&#":
        text = text.replace(character, "\\" + character)
    return text.replace("<", "$<$")
