"""A setting is declared once: name, type, range, unit and help, as a field of a frozen dataclass.

Whoever reads a setting from a file, offers it as an option of a command, checks it or lists it in a guide goes by
that declaration:

    @dataclass(frozen=True)
    class Sam2Settings(Settings):
        region_px: int | None = setting(None, low=64, unit="px", help="side of the square around the target ...")
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import types
import typing
from collections.abc import Iterable
from dataclasses import MISSING, dataclass
from typing import Any, Self

from cinetrack.errors import BundleError, InputError


@dataclass(frozen=True)
class Declared:
    """What is known of a setting beside its name, type and default.

    Attributes:
        help: what it changes in the result, for people.
        unit: of its values; "" for none.
        low, high: the range, both inclusive; None where there is no bound.
        above: like `low`, exclusive.
        choices: the allowed values, where they can be listed.
    """

    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple[Any, ...] | None = None

    def accepts(self, value: Any) -> bool:
        """Whether a value of the right type is within the range."""
        if self.choices is not None:
            return value in self.choices
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            below = self.low is not None and value < self.low
            at_or_below = self.above is not None and value <= self.above
            beyond = self.high is not None and value > self.high
            # Beyond float's range a whole number has no float to be compared or reckoned with.
            usable = abs(value) <= sys.float_info.max
            return usable and not (below or at_or_below or beyond)
        return True

    @property
    def range(self) -> str:
        """The range in words, "" where there is none."""
        if self.choices is not None:
            return f"one of {', '.join(map(str, self.choices))}"
        bounds = [
            f"above {self.above:g}" if self.above is not None else "",
            f"{self.low:g} or more" if self.low is not None else "",
            f"at most {self.high:g}" if self.high is not None else "",
        ]
        return " and ".join(bound for bound in bounds if bound)


def setting(default: Any = MISSING, **declared: Any) -> Any:
    """A dataclass field with its declaration; the keywords are `Declared`'s."""
    return dataclasses.field(default=default, metadata={"declared": Declared(**declared)})


@dataclass(frozen=True)
class Settings:
    """Base of dataclasses whose fields are declared with `setting`. Wrong values raise InputError at construction."""

    def __post_init__(self) -> None:
        for name, kind, declared in declarations(type(self)):
            value = getattr(self, name)
            if not (_has_type(value, kind) and _accepted(value, declared)):
                raise InputError(f"{name}: expected {wanted(kind, declared)}, found {value!r}")

    @classmethod
    def from_document(cls, document: Any, where: str) -> Self:
        """Read the settings from a value of JSON.

        Args:
            document: an object; its keys are the settings' names, and those with a default may be left out.
            where: names the object in errors, as "sources[1]".
        Raises:
            BundleError: it is no object, has an unknown key or lacks one, or a value is out of its range.
        """
        fields = {name: kind for name, kind, _ in declarations(cls)}
        required = [field.name for field in dataclasses.fields(cls) if field.name in fields and _is_required(field)]
        expect_keys(document, where, required, optional=fields)
        given = {key: tuple(value) if isinstance(value, list) else value for key, value in document.items()}
        try:
            return cls(**given)
        except InputError as error:
            raise BundleError(f"{where}.{error}") from None

    def document(self) -> dict[str, Any]:
        """The settings as values of JSON; those that are None by default and in fact are left out."""
        found = {name: getattr(self, name) for name, _, _ in declarations(type(self))}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value is not None
        }

    @classmethod
    def add_options(cls, parser: Any, names: dict[str, str]) -> None:
        """Declare options of a command.

        Args:
            parser: an argparse parser or group.
            names: option by setting, as {"region_px": "--region"}; a switch that turns off begins with "--no-".
        """
        defaults = {field.name: field.default for field in dataclasses.fields(cls)}
        for name, kind, declared in declarations(cls):
            if name not in names:
                continue
            option, default = names[name], defaults[name]
            if kind is bool:
                action = "store_false" if option.startswith("--no-") else "store_true"
                parser.add_argument(option, dest=name, action=action, help=_literal(declared.help))
                continue
            shown = "" if default is MISSING or default is None else f" (default {_shown(default)})"
            several = {"nargs": "+"} if _is_list(kind) else {}
            parser.add_argument(
                option,
                dest=name,
                type=_converter(kind, declared),
                default=None if default is MISSING else default,
                metavar="|".join(declared.choices) if declared.choices else declared.unit.upper() or "X",
                help=_literal(declared.help + shown),
                **several,
            )

    @classmethod
    def option_type(cls, name: str) -> Any:
        """An argparse type for a setting whose option has a help or a default of its own: a word in, a value out."""
        return next(_converter(kind, declared) for known, kind, declared in declarations(cls) if known == name)

    @classmethod
    def from_options(cls, args: argparse.Namespace, **others: Any) -> Self:
        """The settings that `add_options` declared, with `others` given by name."""
        given = {name: getattr(args, name) for name, _, _ in declarations(cls) if hasattr(args, name)}
        found = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        return cls(**{**found, **others})

    @classmethod
    def table(cls) -> str:
        """The settings as rows of a Markdown table: name, type and range, default, what it does."""
        rows = ["| setting | value | default | what it does |", "|---|---|---|---|"]
        defaults = {field.name: field.default for field in dataclasses.fields(cls)}
        for name, kind, declared in declarations(cls):
            default = defaults[name]
            shown = "required" if default is MISSING else "none" if default is None else f"{default}"
            rows.append(f"| `{name}` | {wanted(kind, declared)} | {shown} | {declared.help} |")
        return "\n".join(rows)


def declarations(cls: type) -> list[tuple[str, Any, Declared]]:
    """Name, type and declaration of each setting of a class, in order."""
    hints = typing.get_type_hints(cls)
    return [
        (field.name, hints[field.name], field.metadata["declared"])
        for field in dataclasses.fields(cls)
        if "declared" in field.metadata
    ]


def wanted(kind: Any, declared: Declared) -> str:
    """What a setting may be, in words."""
    words = _words(kind)
    if declared.range:
        words = declared.range if declared.choices is not None else f"{words}, {declared.range}"
    return f"{words} ({declared.unit})" if declared.unit else words


def expect_keys(value: Any, where: str, required: Iterable[str], optional: Iterable[str]) -> None:
    """Raise BundleError unless `value` is an object with the required keys, and none beyond the optional ones."""
    required = list(required)
    if not isinstance(value, dict):
        raise BundleError(f"{where}: expected an object with {', '.join(required) or 'settings'}, found {value!r}")
    missing = [key for key in required if key not in value]
    unknown = sorted(value.keys() - {*required, *optional})
    if missing:
        raise BundleError(f"{where}: expected the keys {', '.join(required)}, found no {', '.join(missing)}")
    if unknown:
        known = ", ".join(sorted({*required, *optional}))
        raise BundleError(f"{where}: expected only the keys {known}, found {', '.join(unknown)}")


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _accepted(value: Any, declared: Declared) -> bool:
    if isinstance(value, tuple):
        return bool(value) and all(declared.accepts(one) for one in value)
    return value is None or declared.accepts(value)


def _members(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)


def _is_list(kind: Any) -> bool:
    return any(typing.get_origin(member) is tuple for member in _members(kind))


def _elements(kind: Any) -> list[Any]:
    """The types that single values may have: a list's elements, else the members of the type itself."""
    found: list[Any] = []
    for member in _members(kind):
        found += _members(typing.get_args(member)[0]) if _is_list(member) else (member,)
    return found


def _has_type(value: Any, kind: Any) -> bool:
    for member in _members(kind):
        if typing.get_origin(member) is tuple:
            if isinstance(value, tuple) and all(_has_type(one, typing.get_args(member)[0]) for one in value):
                return True
        elif member is type(None):
            if value is None:
                return True
        elif member is float:
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return True
        elif type(value) is member:
            return True
    return False


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a name", type(None): "none"}


def _words(kind: Any) -> str:
    members = [member for member in _members(kind) if member is not type(None)]
    words = [
        "a list" if typing.get_origin(member) is tuple else _WORDS.get(member, getattr(member, "__name__", "a value"))
        for member in members
    ]
    return " or ".join(words)


def _shown(default: Any) -> str:
    return f"{default:g}" if isinstance(default, (int, float)) else str(default)


def _literal(text: str) -> str:
    """Help for argparse, which fills in what follows a percent sign."""
    return text.replace("%", "%%")


def _converter(kind: Any, declared: Declared) -> Any:
    elements = _elements(kind)
    number = int if int in elements else float if float in elements else str

    def convert(text: str) -> Any:
        try:
            value = number(text)
        except ValueError:
            value = None
        if value is None or not declared.accepts(value):
            raise argparse.ArgumentTypeError(f"expected {wanted(number, declared)}, found {text}")
        return value

    return convert
