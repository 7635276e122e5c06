"""Comparing models: the statistics against their textbook values, the ranks, and the whole command."""

from __future__ import annotations

import csv
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinetrack.cli.main import main
from cinetrack.errors import InputError
from cinetrack.evaluation.comparison import compare_models, holm, rank_models, signed_rank_p
from cinetrack.evaluation.comparison_tables import FORMATS, comparison_tables
from cinetrack.evaluation.metric_names import ACCURACY, CENTER, DICE, RANKED
from cinetrack.evaluation.metrics_file import MetricsFile, read_metrics

REPOSITORY = Path(__file__).resolve().parents[2]


def model(name: str, dice: list[float], seconds: float | None = 10.0, center: float = 1.5) -> MetricsFile:
    rows = {
        f"C_{i:03}": {
            "case_id": f"C_{i:03}",
            **{metric.key: center for metric in ACCURACY},
            DICE.key: value,
            "frame_count": 10 + i,
            "total_runtime": None if seconds is None else 2 + seconds / 100 * (10 + i),
        }
        for i, value in enumerate(dice)
    }
    return MetricsFile(name, rows)


BASE = [0.80, 0.85, 0.90, 0.92, 0.70, 0.88]


def write(path: Path, metrics: MetricsFile) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"results": list(metrics.results.values()), "aggregates": {}}))
    return path


def test_a_change_has_its_mean_percent_wins_and_losses():
    other = [0.82, 0.86, 0.90, 0.95, 0.60, 0.89]
    change = compare_models([model("a", BASE), model("b", other)]).models[1].changes[0]
    assert change.metric is DICE
    assert change.difference == pytest.approx(np.mean(other) - np.mean(BASE))
    assert change.percent == pytest.approx(100 * (np.mean(other) / np.mean(BASE) - 1))
    assert (change.wins, change.losses, change.ties) == (4, 1, 1)
    assert [case.case_id for case in change.worse] == ["C_004"]
    assert change.interval[0] < change.difference < change.interval[1]


def test_for_a_distance_smaller_is_better():
    changes = compare_models([model("a", BASE, center=2.0), model("b", BASE, center=1.0)]).models[1].changes
    center = next(change for change in changes if change.metric is CENTER)
    assert (center.wins, center.losses) == (6, 0)
    assert center.percent == pytest.approx(-50)


@given(st.lists(st.integers(-50, 50).filter(bool), min_size=1, max_size=8, unique_by=abs))
def test_the_signed_rank_p_is_the_share_of_sign_patterns_at_least_as_extreme(differences):
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    middle = ranks.sum() / 2
    observed = abs(ranks[np.array(differences) > 0].sum() - middle)
    sums = [
        sum(r for r, keep in zip(ranks, signs, strict=True) if keep)
        for signs in itertools.product([0, 1], repeat=len(ranks))
    ]
    expected = np.mean([abs(total - middle) >= observed - 1e-9 for total in sums])
    assert signed_rank_p(np.array(differences, dtype=float)) == pytest.approx(expected)


def test_equal_models_differ_with_p_1():
    assert signed_rank_p(np.zeros(5)) == 1
    for change in compare_models([model("a", BASE), model("b", BASE)]).models[1].changes:
        assert (change.p, change.p_holm, change.ties) == (1, 1, 6)


def test_holm_equals_its_textbook_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_lies_between_the_raw_p_and_bonferroni(p_values):
    corrected = holm(p_values)
    for raw, value in zip(p_values, corrected, strict=True):
        assert raw - 1e-12 <= value <= min(1, raw * len(p_values)) + 1e-12
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()


def test_the_bootstrap_interval_of_many_cases_is_near_the_normal_one():
    rng = np.random.default_rng(3)
    base = rng.uniform(0.5, 0.9, 400)
    change = compare_models([model("a", list(base)), model("b", list(base + rng.normal(0.01, 0.05, 400)))])
    low, high = change.models[1].changes[0].interval
    assert high - low == pytest.approx(2 * 1.96 * 0.05 / 20, rel=0.15)


def test_the_same_seed_gives_the_same_intervals():
    models = [model("a", BASE), model("b", BASE[::-1])]
    assert compare_models(models, seed=4) == compare_models(models, seed=4)
    assert compare_models(models, seed=4) != compare_models(models, seed=5)


def test_models_are_ranked_in_each_metric_with_ties_sharing_the_better_place():
    means = [dict.fromkeys([m.key for m in RANKED], value) for value in (1.0, 2.0, 2.0, 3.0)]
    ranks = rank_models(means, RANKED)
    assert [rank[CENTER.key] for rank in ranks] == [1, 2, 2, 4]
    assert [rank[DICE.key] for rank in ranks] == [4, 2, 2, 1]


def test_the_mean_rank_is_over_six_metrics_with_runtime_as_one():
    comparison = compare_models([model("slow", [0.9] * 4, 20.0), model("fast", [0.8] * 4, 5.0)])
    assert [len(summary.ranks) for summary in comparison.models] == [6, 6]
    slow, fast = comparison.models
    assert (slow.ranks["runtime"], fast.ranks["runtime"]) == (2, 1)
    assert slow.mean_rank == pytest.approx((1 + 1 + 1 + 1 + 1 + 2) / 6)
    assert fast.time_per_frame == pytest.approx(0.05)


def test_without_timings_in_one_model_runtime_is_not_ranked():
    comparison = compare_models([model("a", BASE), model("b", BASE, None)])
    assert comparison.ranked == ACCURACY
    assert comparison.models[1].time_per_frame is None


def test_only_cases_that_all_models_have_are_compared():
    comparison = compare_models([model("a", BASE), model("b", BASE[:4])])
    assert len(comparison.cases) == 4
    assert comparison.left_out == ("C_004", "C_005")
    assert comparison.models[0].means[DICE.key] == pytest.approx(np.mean(BASE[:4]))


def test_a_case_without_a_finite_value_is_left_out_of_that_metric():
    other = model("b", BASE)
    other.results["C_000"][CENTER.key] = float("inf")
    changes = compare_models([model("a", BASE), other]).models[1].changes
    assert [change.cases for change in changes] == [6, 6, 6, 5, 6]


def test_the_whole_command_prints_markdown_and_writes_every_format(tmp_path):
    first = write(tmp_path / "zero_shot" / "metrics.json", model("a", BASE))
    second = write(tmp_path / "tuned.json", model("b", [value + 0.01 for value in BASE]))
    finished = subprocess.run(
        [sys.executable, "-m", "cinetrack", "compare", first, second, "-o", tmp_path / "out"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == (tmp_path / "out" / "comparison.md").read_text()
    assert "| zero_shot | 0.8417 |" in finished.stdout
    assert "| tuned | DSC | 6 | +0.0100 | +0.0100 to +0.0100 | +1.19 % | 0.0312 | 0.1562 | 6/0/0 |" in finished.stdout
    rows = list(csv.reader((tmp_path / "out" / "comparison.csv").open()))
    assert ["tuned", "1", "1", "1", "1", "1", "1", "1.00"] in rows
    latex = (tmp_path / "out" / "comparison.tex").read_text()
    assert "+1.19 \\%" in latex and "zero\\_shot" in latex
    assert latex.count("\\begin{tabular}") == latex.count("\\end{tabular}") == 3


@pytest.mark.parametrize("chosen", FORMATS)
def test_every_format_has_every_model_and_metric(chosen):
    text = FORMATS[chosen][1](comparison_tables(compare_models([model("aa", BASE), model("bb", BASE[::-1])])))
    for word in ("aa", "bb", *(metric.label for metric in RANKED), "C_001"):
        assert word.replace("_", "\\_" if chosen == "latex" else "_") in text


def test_names_can_be_given(tmp_path, capsys):
    paths = [str(write(tmp_path / f"{name}.json", model(name, BASE))) for name in "ab"]
    assert main(["compare", *paths, "--names", "zero-shot", "tuned", "--format", "csv"]) == 0
    assert "zero-shot" in capsys.readouterr().out
    assert main(["compare", *paths, "--names", "one"]) == 2
    assert "expected 2 names" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected json"),
        ("[]", "non-empty list of results"),
        ('{"results": []}', "non-empty list of results"),
        ('{"results": [{"case_id": "A"}]}', "every result to have dice_similarity_coefficient"),
    ],
)
def test_a_file_that_holds_no_metrics_is_named(tmp_path, content, message):
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(InputError, match=f"bad.json: .*{message}"):
        read_metrics(path)


def test_models_without_a_common_case_or_with_one_name_are_refused():
    stranger = model("b", BASE)
    renamed = MetricsFile("b", {f"other_{key}": row for key, row in stranger.results.items()})
    with pytest.raises(InputError, match="cases in common, found none"):
        compare_models([model("a", BASE), renamed])
    with pytest.raises(InputError, match="different names, found a, a"):
        compare_models([model("a", BASE), model("a", BASE)])


def test_a_model_with_an_infinite_distance_on_one_case_ranks_last():
    lost, steady = model("lost", BASE, center=1.0), model("steady", BASE, center=2.0)
    lost.results["C_002"] = {**lost.results["C_002"], CENTER.key: float("inf")}
    places = [summary.ranks[CENTER.key] for summary in compare_models([lost, steady]).models]
    assert places == [2, 1]


@pytest.mark.parametrize("change", [{DICE.key: "high"}, {"frame_count": None}, {"total_runtime": "soon"}])
def test_metrics_that_are_no_numbers_are_bad_input(change, tmp_path, capsys):
    wrong = model("wrong", BASE)
    wrong.results["C_000"] = {**wrong.results["C_000"], **change}
    paths = [str(write(tmp_path / "a.json", model("a", BASE))), str(write(tmp_path / "b.json", wrong))]
    assert main(["compare", *paths]) == 2
    assert "b.json: expected" in capsys.readouterr().err
