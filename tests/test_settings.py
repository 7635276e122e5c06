"""A setting's one declaration is what files, options, errors and tables go by."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinetrack.errors import BundleError, InputError
from cinetrack.settings import Settings, setting
from cinetrack.tracking.evidence.sam2 import Sam2Settings
from cinetrack.tracking.kinds import postprocessing_kinds, source_kinds
from cinetrack.tracking.stabilisation import Stabiliser


@dataclass(frozen=True)
class Oven(Settings):
    dish: str = setting(help="what is baked, 100 % of it")
    heat: float = setting(180.0, above=0, high=300, unit="degrees", help="how hot")
    minutes: int = setting(30, low=1, unit="min", help="how long")
    shelf: int | None = setting(None, low=1, high=4, help="which shelf")
    fan: bool = setting(True, help="whether air is moved")
    sides: tuple[str, ...] = setting(("top",), choices=("top", "bottom"), help="where heat comes from")
    parts: tuple[int | str, ...] = setting((0,), help="numbers or names")
    note: str = setting("none", help="for the cook")


GIVEN = {"dish": "pie", "heat": 200, "minutes": 5, "shelf": 2, "fan": False, "sides": ["bottom"], "parts": [1, "all"]}


def test_settings_are_read_as_they_are_written():
    oven = Oven.from_document(GIVEN, "oven")
    assert (oven.dish, oven.heat, oven.sides, oven.parts, oven.note) == ("pie", 200, ("bottom",), (1, "all"), "none")
    assert oven.document() == {**GIVEN, "note": "none"}
    assert Oven.from_document(json.loads(json.dumps(oven.document())), "oven") == oven
    assert Oven("pie").document().keys() == Oven("pie").document().keys() - {"shelf"}  # None by default, and in fact


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heat": 0}, r"oven.heat: expected a number, above 0 and at most 300 \(degrees\), found 0"),
        ({"heat": 300.5}, "oven.heat: .*found 300.5"),
        ({"heat": float("nan")}, "oven.heat: .*found nan"),
        ({"heat": float("inf")}, "oven.heat: .*found inf"),
        ({"heat": 10**400}, "oven.heat: .*found 1000"),
        ({"minutes": 10**400}, "oven.minutes: .*found 1000"),
        ({"heat": True}, "oven.heat: .*found True"),
        ({"heat": "180"}, "oven.heat: .*found '180'"),
        ({"heat": None}, "oven.heat: .*found None"),
        ({"minutes": 0}, r"oven.minutes: expected a whole number, 1 or more \(min\), found 0"),
        ({"minutes": 1.0}, "oven.minutes: .*found 1.0"),
        ({"shelf": 5}, "oven.shelf: expected a whole number, 1 or more and at most 4, found 5"),
        ({"fan": 1}, "oven.fan: expected true or false, found 1"),
        ({"sides": "top"}, "oven.sides: expected one of top, bottom, found 'top'"),
        ({"sides": []}, "oven.sides: expected one of top, bottom, found ()"),
        ({"sides": ["top", "left"]}, "oven.sides: .*'left'"),
        ({"parts": [1.5]}, "oven.parts: expected a list, found"),
        ({"dish": 3}, "oven.dish: expected a name, found 3"),
        ({"dish": {"a": 1}}, "oven.dish: expected a name"),
        ({"colour": "red"}, "oven: expected only the keys .*, found colour"),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_name(change, message):
    with pytest.raises(BundleError, match=message):
        Oven.from_document({**GIVEN, **change}, "oven")


@pytest.mark.parametrize("document", [None, [], "pie", 3])
def test_what_is_no_object_is_refused(document):
    with pytest.raises(BundleError, match="oven: expected an object with dish, found"):
        Oven.from_document(document, "oven")


def test_a_setting_without_default_is_asked_for():
    with pytest.raises(BundleError, match="oven: expected the keys dish, found no dish"):
        Oven.from_document({}, "oven")


def test_wrong_values_are_refused_in_python_too():
    with pytest.raises(InputError, match="^minutes: expected a whole number, 1 or more"):
        Oven("pie", minutes=-3)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.integers(), st.lists))
def test_whatever_the_value_it_is_taken_or_refused(value):
    try:
        found = Oven.from_document({**GIVEN, "shelf": value, "parts": value, "heat": value}, "oven")
    except BundleError:
        return
    assert isinstance(found.parts, tuple)


def parser(names: dict[str, str]) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="bake")
    Oven.add_options(made, names)
    return made


OPTIONS = {
    "heat": "--heat",
    "minutes": "--time",
    "shelf": "--shelf",
    "fan": "--no-fan",
    "sides": "--sides",
    "parts": "--parts",
    "note": "--note",
}


def test_options_have_the_declared_defaults_and_give_the_settings():
    nothing = parser(OPTIONS).parse_args([])
    assert Oven.from_options(nothing, dish="pie") == Oven("pie")
    words = ["--heat", "90.5", "--time", "7", "--shelf", "1", "--no-fan", "--note", "soon"]
    words += ["--sides", "bottom", "top", "--parts", "3", "4"]
    expected = Oven("pie", 90.5, 7, 1, False, ("bottom", "top"), (3, 4), "soon")
    assert Oven.from_options(parser(OPTIONS).parse_args(words), dish="pie") == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--heat", "0"], "argument --heat: expected a number, above 0 and at most 300 (degrees), found 0"),
        (["--heat", "nan"], "argument --heat: expected a number"),
        (["--time", "1.5"], "argument --time: expected a whole number, 1 or more (min), found 1.5"),
        (["--sides", "top", "left"], "argument --sides: expected one of top, bottom, found left"),
        (["--shelf", "x"], "argument --shelf: expected a whole number, 1 or more and at most 4, found x"),
    ],
)
def test_an_option_out_of_its_range_is_refused_by_name(words, message, capsys):
    with pytest.raises(SystemExit):
        parser(OPTIONS).parse_args(words)
    assert message in capsys.readouterr().err


def test_help_says_what_is_declared():
    text = " ".join(parser({**OPTIONS, "dish": "--dish"}).format_help().split())
    for part in ("--heat DEGREES", "how hot (default 180)", "how long (default 30)", "which shelf --no-fan"):
        assert part in text
    assert "for the cook (default none)" in text and "100 % of it" in text


def test_the_table_has_a_row_for_each_setting():
    head, _, *rows = Oven.table().splitlines()
    assert head == "| setting | value | default | what it does |" and len(rows) == 8
    assert rows[0] == "| `dish` | a name | required | what is baked, 100 % of it |"
    assert rows[1] == "| `heat` | a number, above 0 and at most 300 (degrees) | 180.0 | how hot |"
    assert rows[3].startswith("| `shelf` | a whole number, 1 or more and at most 4 | none |")
    assert "one of top, bottom" in rows[5]


@pytest.mark.parametrize("kind", [*source_kinds().values(), *postprocessing_kinds().values(), Stabiliser])
def test_every_setting_of_the_method_says_what_it_changes_and_its_default_is_allowed(kind):
    rows = kind.table().splitlines()[2:]
    assert all(len(row.split("|")) == 6 and len(row.split("|")[4].strip()) > 15 for row in rows)
    settings = kind("a.yaml", "a.pt") if kind is Sam2Settings else kind()
    assert kind.from_document(settings.document(), "stage") == settings


def test_a_region_is_at_least_64_px():
    with pytest.raises(InputError, match=r"region_px: expected a whole number, 64 or more \(px\), found 10"):
        Sam2Settings("a.yaml", "a.pt", region_px=10)
