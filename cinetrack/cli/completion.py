"""`cinetrack completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

import argparse

SHELLS = ("bash", "zsh", "tcsh")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("shell", choices=SHELLS, help="the shell to write for")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    import shtab

    from cinetrack.cli.main import whole_parser

    print(shtab.complete(whole_parser(), shell=args.shell))
    return 0
