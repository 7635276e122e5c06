"""Entry of the `cinetrack` command.

Each subcommand is a module of this package with `NAME`, `HELP`, `add_arguments(parser)` and `run(args) -> int`.
They are imported only when called for, so that `cinetrack --help` does not load torch.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import io
import logging
import sys
import traceback
from collections.abc import Callable
from typing import Any

from cinetrack import __version__
from cinetrack.cli.notes import set_verbosity
from cinetrack.cli.parser import SuggestingParser, add_verbosity
from cinetrack.cli.renamed import with_new_names
from cinetrack.errors import InputError
from cinetrack.process_environment import settle_threads
from cinetrack.runs.outputs import find_temporary_folder

# The one list of commands: the parser, the docs and the tests read it. Name -> (module, help).
COMMANDS: dict[str, tuple[str, str]] = {
    "import": ("cinetrack.cli.import_series", "make cases of DICOM, NIfTI, NRRD, MetaImage, pictures or films"),
    "predict": ("cinetrack.cli.predict", "track one case or a dataset and write the masks"),
    "export": ("cinetrack.cli.export", "write predictions as DICOM-SEG, RTSTRUCT, NIfTI, NRRD, COCO or CSV"),
    "phantom": ("cinetrack.cli.phantom", "write synthetic cine-MR cases with exact labels"),
    "bundle": ("cinetrack.cli.bundle", "assemble or check a model bundle"),
    "evaluate": ("cinetrack.cli.evaluate", "score predictions with the metrics of the TrackRAD2025 challenge"),
    "compare": ("cinetrack.cli.compare", "compare models with a baseline: percent changes, paired tests, ranks"),
    "report": ("cinetrack.cli.report", "write an HTML report of predictions, to be opened from disk"),
    "overlay": ("cinetrack.cli.overlay", "draw a case with its outlines as a film, an animation or a contact sheet"),
    "stream": ("cinetrack.cli.stream", "follow a scanner live: masks, prediction, beam decision (for research)"),
    "gate": ("cinetrack.cli.gate", "work out when a beam gated by predictions would have been on (for research)"),
    "label": ("cinetrack.cli.label", "label first frames in the browser"),
    "propagate": ("cinetrack.cli.propagate", "track every labelled sequence and write the masks as pseudo-labels"),
    "finetune": ("cinetrack.cli.finetune", "fine-tune SAM2 with its own training recipe"),
    "average": ("cinetrack.cli.average", "average the weights of SAM2 checkpoints of one architecture"),
    "refiner": ("cinetrack.cli.refiner", "train the nnU-Net refiner: prepare, plan, train, cross-validate, bundle"),
    "completion": ("cinetrack.cli.completion", "print the script that lets a shell complete commands and options"),
}


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand. Exit code 0: done, 2: bad input, 1: a failure of ours."""
    settle_threads()  # before anything imports torch
    args = parse(sys.argv[1:] if argv is None else argv)
    set_verbosity(args.verbose, args.quiet)
    return run_reporting_errors(_run, args)


def _run(args: argparse.Namespace) -> int:
    find_temporary_folder()
    return int(args.run(args) or 0)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The arguments of a command line, with the chosen command's function as `run`. Exits with 2 where they are off."""
    arguments = with_new_names(arguments, lambda notice: print(notice, file=sys.stderr))
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    parser = _parser([] if chosen is None else [chosen])
    parser.leaf(arguments).check_options(arguments)
    return parser.parse_args(arguments)


def whole_parser() -> SuggestingParser:
    """The parser with every command's options, as completion and the reference need it; imports every command."""
    return _parser(list(COMMANDS))


def _parser(with_options: list[str]) -> SuggestingParser:
    parser = SuggestingParser(prog="cinetrack", description="Track tumours in the cine-MR of MR-linacs.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module_name, summary) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name in with_options:
            module = importlib.import_module(module_name)
            module.add_arguments(subparser)
            for leaf in subparser.leaves():
                add_verbosity(leaf)
            subparser.set_defaults(run=module.run)
    return parser


def run_reporting_errors(function: Callable[..., int | None], *arguments: Any) -> int:
    """Call `function`; turn an InputError into one line and 2, any other exception into its traceback and 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for stream in (sys.stdout, sys.stderr):  # a file's name may hold bytes that are no text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return function(*arguments) or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except PermissionError as error:  # of an input or an output alike: only the user can mend it
        print(f"error: {error.filename or 'a file'}: expected permission to use it, found none", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            traceback.print_exc()
        else:
            print(f"error: {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(main())
