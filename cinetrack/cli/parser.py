"""The argument parser of every command: it answers a misspelt word with the nearest known one."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable
from typing import NoReturn


class SuggestingParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors end in "did you mean ...?" where a command, an option or a choice is misspelt."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error; exit with code 2."""
        if match := re.search(r"invalid choice: '([^']+)' \(choose from (.*)\)", message):
            message += _suggestion(match[1], re.findall(r"[^\s,']+", match[2]))
        super().error(message)

    def leaf(self, arguments: Iterable[str]) -> SuggestingParser:
        """The parser of the command, and of its action where it has some, that `arguments` name."""
        words, parser = list(arguments), self
        while words and (choices := parser.subcommands()):
            word = words.pop(0)
            parser = choices.get(word, parser)
        return parser

    def subcommands(self) -> dict[str, SuggestingParser]:
        """Name -> parser of the commands, or of a command's actions; empty where there are none."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                return dict(action.choices)
        return {}

    def leaves(self) -> list[SuggestingParser]:
        """All parsers below this one that have no subcommands of their own."""
        below = self.subcommands().values()
        return [leaf for parser in below for leaf in parser.leaves()] or [self]

    def check_options(self, arguments: list[str]) -> None:
        """Exit with code 2 where `arguments` hold a long option that this parser does not know.

        Ahead of argparse's own checks, which complain of a required option where it is merely misspelt.
        """
        known = [option for action in self._actions for option in action.option_strings]
        words = arguments[: arguments.index("--")] if "--" in arguments else arguments
        for word in words:
            option = word.split("=")[0]
            if option.startswith("--") and not any(name.startswith(option) for name in known):
                self.error(f"unrecognized option {option}{_suggestion(option, known)}")


def add_verbosity(parser: argparse.ArgumentParser) -> None:
    """Declare -v and -q."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("-v", "--verbose", action="store_true", help="also report details of what happens")
    group.add_argument("-q", "--quiet", action="store_true", help="report only warnings and errors beside the result")


def _suggestion(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
