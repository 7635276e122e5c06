"""What the pages show works: their commands, their Python, their pictures, their links to files, and the reference."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from cinetrack.cli.main import COMMANDS, parse, whole_parser
from cinetrack.settings import declarations
from cinetrack.tracking.kinds import postprocessing_kinds, source_kinds
from cinetrack.tracking.stabilisation import Stabiliser

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
EXPERIMENTS = sorted((ROOT / "experiments").rglob("*.md"))
CARDS = sorted((ROOT / "resources").rglob("*.md"))


def module(path: Path) -> ModuleType:
    """A script of the documentation as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def command_lines(page: Path) -> list[str]:
    """The lines of a page's blocks of shell commands, continued lines joined, variables put in."""
    text = page.read_text(encoding="utf-8")
    blocks = [re.sub(r"^ {4}", "", b, flags=re.M) for b in re.findall(r"```bash\n(.*?)```", text, re.S)]
    lines: list[str] = []
    for block in blocks:
        variables: dict[str, str] = {"SLURM_ARRAY_TASK_ID": "0"}
        joined = block.replace("\\\n", " ")
        for name, value in re.findall(r'^(\w+)="([^"]*)"', joined, flags=re.M):
            variables[name] = value
        joined = re.sub(r'^\w+="[^"]*"', "", joined, flags=re.M)
        for name, value in variables.items():
            joined = joined.replace(f"${name}", value)
        lines += joined.splitlines()
    return lines


def shown_commands() -> list[tuple[str, str]]:
    """(page, line) of every `cinetrack` command on any page."""
    return [
        (page.relative_to(ROOT).as_posix(), line)
        for page in [*PAGES, *EXPERIMENTS, *CARDS, ROOT / "README.md"]
        for line in command_lines(page)
        if re.search(r"\bcinetrack (?!completion)[a-z]", line.split("#")[0])
    ]


@pytest.mark.parametrize(("page", "line"), shown_commands())
def test_a_command_shown_is_one_that_the_parser_takes(page, line, capsys):
    words = shlex.split(line, comments=True)
    arguments = words[words.index("cinetrack") + 1 :]
    assert parse(arguments).command == arguments[0]
    assert "notice:" not in capsys.readouterr().err  # no page shows a former name


def test_the_pages_show_every_command():
    shown = " ".join(line for _, line in shown_commands())
    for command in set(COMMANDS) - {"completion"}:
        assert f"cinetrack {command}" in shown, command
    for action in whole_parser().subcommands()["refiner"].subcommands():
        assert f"refiner {action}" in shown, action


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_the_scripts_that_a_page_names_exist(page):
    named = r"(?:^|[\s`(])\.?/?((?:test|benchmarks|resources|docs|\.ci)/[\w./-]+\.(?:sh|py|yaml))"
    for script in re.findall(named, page.read_text()):
        assert (ROOT / script).exists(), script


@pytest.mark.parametrize("page", [*EXPERIMENTS, *CARDS, ROOT / "CONTRIBUTING.md"], ids=str)
def test_the_files_that_a_page_outside_the_site_links_to_exist(page):
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", EXPERIMENTS, ids=lambda path: path.parent.name)
def test_the_results_that_an_experiment_names_are_there(page):
    for name in re.findall(r"`(?:benchmarks/results/)?([\w-]+\.json)`", page.read_text()):
        assert (ROOT / "benchmarks/results" / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_a_page_is_short_and_has_one_title(page):
    text = page.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 160
    assert len(re.findall(r"^# ", re.sub(r"```.*?```", "", text, flags=re.S), flags=re.M)) == 1


def test_every_page_is_in_the_navigation_once():
    hooks = module(DOCS / "site_hooks.py")
    shown = ["index.md", *(page for folder in hooks.SECTIONS.values() for page in hooks.pages_of(folder))]
    there = [page.relative_to(DOCS).as_posix() for page in PAGES]
    assert sorted(shown) == sorted([*there, hooks.COMMANDS_PAGE, hooks.SETTINGS_PAGE])


def test_the_page_of_commands_has_every_option_of_every_command():
    page = module(DOCS / "site_hooks.py").commands_page()
    sections = dict(re.findall(r"^###? (cinetrack .+)\n((?:(?!^##).*\n?)*)", page, flags=re.M))
    leaves = whole_parser().leaves()
    assert len(leaves) > 15
    for leaf in leaves:
        for action in leaf._actions:
            for option in set(action.option_strings) - {"-h", "--help"}:
                assert f"`{option}`" in sections[leaf.prog], (leaf.prog, option)


def test_the_page_of_settings_has_every_setting_of_every_stage():
    page = module(DOCS / "site_hooks.py").settings_page()
    stages = {"sources": source_kinds(), "postprocessing": postprocessing_kinds()}
    assert Stabiliser.table() in page
    for title, kinds in stages.items():
        for kind, settings in kinds.items():
            section = re.search(rf"^### {kind}, in {title}\n((?:(?!^##).*\n?)*)", page, flags=re.M)
            assert section is not None
            for name, _, declared in declarations(settings):
                assert f"| `{name}` |" in section[1] and declared.help in section[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_a_page_of_the_site_links_to_pages_that_are_there(page):
    hooks = module(DOCS / "site_hooks.py")
    made = {(DOCS / name).resolve() for name in (hooks.COMMANDS_PAGE, hooks.SETTINGS_PAGE)}
    for target in re.findall(r"\]\((?!http|#|mailto)([^)#\s]+)", page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve()
        assert path.exists() or path in made, target


def test_the_drawing_of_the_method_is_what_its_script_draws():
    drawn = module(DOCS / "make_method_drawing.py").drawing()
    assert (DOCS / "images/method.svg").read_text(encoding="utf-8") == drawn


def test_the_python_of_the_first_steps_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    page = DOCS / "getting-started/python.md"
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S):
        exec(compile(block, page.name, "exec"), names)
    assert len(names["masks"]) == 60 and names["scores"]["dice_similarity_coefficient"] > 0.9
    assert names["second"].mask.shape == names["masks"][0].shape
