"""The guides to scoring, comparing and looking: their commands run, and the table is the metrics' list."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from prediction_writing import shifted, write_prediction

from cinetrack.cli.main import main
from cinetrack.evaluation.metric_names import ACCURACY

HOW_TO = Path(__file__).resolve().parents[2] / "docs/how-to"
PAGES = [HOW_TO / f"{name}.md" for name in ("score-predictions", "compare-models", "look-at-results")]


def test_every_command_of_the_guides_runs(dataset, moving_disc, tmp_path, monkeypatch, capsys):
    for folder, rows in (("predictions", 1), ("others", 2)):
        for case in ("A_001", "B_002"):
            write_prediction(tmp_path / folder, case, shifted(moving_disc[1], rows, 0), seconds=2.0)
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "others", "--truth", "dataset", "-o", "other.json"]) == 0
    blocks = [block for page in PAGES for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)]
    commands = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert {words[1] for words in commands} == {"evaluate", "compare", "report", "overlay"}
    for words in commands:
        assert words[0] == "cinetrack"
        assert main(words[1:]) == 0, words
    for name in ("metrics.json", "frames.csv", "comparison/comparison.tex", "report/index.html", "film.mp4"):
        assert (tmp_path / name).stat().st_size > 0
    assert "fine-tuned" in capsys.readouterr().out


def test_the_guides_table_is_the_list_of_metrics():
    table = [
        f"| {m.title} | `{m.key}` | {'higher' if m.higher_is_better else 'lower'} | {m.meaning} |" for m in ACCURACY
    ]
    assert "\n".join(table) in PAGES[0].read_text()
