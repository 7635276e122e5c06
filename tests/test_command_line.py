"""The command line's manners: versions, misspelt words, former names, completion, how much is said."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess

import pytest

import cinetrack
from cinetrack.cli import notes
from cinetrack.cli.main import COMMANDS, main, parse, whole_parser
from cinetrack.cli.renamed import RENAMED, with_new_names


@pytest.fixture(autouse=True)
def verbosity_as_before():
    before = logging.getLogger("cinetrack").level
    yield
    logging.getLogger("cinetrack").setLevel(before)


def test_the_version_is_printed(capsys):
    with pytest.raises(SystemExit, match="^0$"):
        main(["--version"])
    assert capsys.readouterr().out == f"cinetrack {cinetrack.__version__}\n"


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        ("predcit data", "did you mean predict?"),
        ("predict data --modle default", "unrecognized option --modle; did you mean --model?"),
        ("refiner tran raw", "did you mean train?"),
        ("refiner train raw --epoch-s 3", "did you mean --epochs?"),
        ("phantom out --cases 1 --seed 1 --difficulty hrad", "did you mean hard?"),
    ],
)
def test_a_misspelt_word_is_answered_with_the_nearest(words, suggestion, capsys):
    with pytest.raises(SystemExit, match="^2$"):
        main(words.split())
    assert suggestion in capsys.readouterr().err


def test_a_word_like_no_other_is_answered_without_a_guess(capsys):
    with pytest.raises(SystemExit, match="^2$"):
        main(["predict", "data", "--zzzzzz"])
    assert capsys.readouterr().err.endswith("unrecognized option --zzzzzz\n")


def test_words_after_two_dashes_are_no_options():
    assert parse(["predict", "-o", "out", "--", "--odd-folder"]).source.name == "--odd-folder"


FORMER = [(command, old, new) for command, names in RENAMED.items() for old, new in names.items()]


@pytest.mark.parametrize(("command", "old", "new"), FORMER)
def test_a_former_name_gives_way_to_an_option_that_exists(command, old, new):
    told: list[str] = []
    assert with_new_names([*command.split(), old], told.append) == [*command.split(), *new]
    assert told == [f"notice: {old} is now {' '.join(new)}; the former name goes with the next release"]
    assert any(new[0] in action.option_strings for action in whole_parser().leaf(command.split())._actions)


@pytest.mark.parametrize("folds", [["0", "1", "all"], ["0,1,all"], ["0,1", "all"]])
def test_folds_are_written_apart_or_with_commas(folds):
    assert parse(["refiner", "train", "raw", "--folds", *folds]).fold == ["0", "1", "all"]
    create = ["bundle", "create", "--tracker", "static", "-o", "out"]
    assert parse([*create, "--folds", *folds]).folds == ["0", "1", "all"]


def test_every_command_takes_verbose_and_quiet_but_not_both(capsys):
    leaves = whole_parser().leaves()
    assert len(leaves) > len(COMMANDS)  # some have actions
    for leaf in leaves:
        assert {"-v", "-q"} <= {option for action in leaf._actions for option in action.option_strings}, leaf.prog
    with pytest.raises(SystemExit, match="^2$"):
        parse(["predict", "data", "-o", "out", "-v", "-q"])
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.parametrize(("flags", "said"), [([], True), (["-v"], True), (["-q"], False)])
def test_quiet_leaves_notes_out(flags, said, capsys):
    args = parse(["evaluate", "predictions", "--truth", "data", "-o", "m.json", *flags])
    notes.set_verbosity(args.verbose, args.quiet)
    notes.note("of interest")
    assert capsys.readouterr().err == ("of interest\n" if said else "")


def test_bash_completes_a_commands_options(tmp_path, capsys):
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    (tmp_path / "completion").write_text(script)
    ask = 'source completion; COMP_WORDS=(cinetrack predict --mo); COMP_CWORD=2; COMP_LINE="${COMP_WORDS[*]}"'
    function = re.search(r"-F (\w+) cinetrack", script)[1]
    ask += f'; {function} cinetrack --mo predict; echo "${{COMPREPLY[*]}}"'
    answer = subprocess.run(["bash", "-c", ask], cwd=tmp_path, capture_output=True, text=True)
    assert answer.stdout.split() == ["--model"], answer.stderr
