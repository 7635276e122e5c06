"""Entry of the `cinetrack` command.

Each subcommand is a module of this package with `NAME`, `HELP`, `add_arguments(parser)` and `run(args) -> int`.
They are imported only when called for, so that `cinetrack --help` does not load torch.
"""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import sys
import traceback

from cinetrack.errors import InputError
from cinetrack.process_environment import settle_threads

# The one list of commands: the parser, the docs and the tests read it. Name -> (module, help).
COMMANDS: dict[str, tuple[str, str]] = {
    "predict": ("cinetrack.cli.predict", "track one case or a dataset and write the masks"),
    "phantom": ("cinetrack.cli.phantom", "write synthetic cine-MR cases with exact labels"),
    "bundle": ("cinetrack.cli.bundle", "assemble or check a model bundle"),
    "evaluate": ("cinetrack.cli.evaluate", "score predictions with the metrics of the TrackRAD2025 challenge"),
    "compare": ("cinetrack.cli.compare", "compare models with a baseline: changes, tests, ranks"),
    "report": ("cinetrack.cli.report", "write an HTML report of predictions, to be opened from disk"),
    "overlay": ("cinetrack.cli.overlay", "draw a case with its outlines as a film, an animation or a contact sheet"),
    "label": ("cinetrack.cli.label", "label first frames in the browser"),
    "propagate": ("cinetrack.cli.propagate", "track every labelled sequence through, as pseudo-labels"),
    "finetune": ("cinetrack.cli.finetune", "fine-tune SAM2 with its own training recipe"),
    "average": ("cinetrack.cli.average", "average the weights of SAM2 checkpoints of one architecture"),
    "refiner": ("cinetrack.cli.refiner", "train the nnU-Net refiner: prepare, plan, train, cross-validate, bundle"),
}


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand. Exit code 0: done, 2: bad input, 1: a failure of ours."""
    settle_threads()  # before anything imports torch
    args = parse(sys.argv[1:] if argv is None else argv)
    return run_reporting_errors(args.run, args)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The arguments of a command line, with the chosen command's function as `run`. Exits with 2 where they are off."""
    parser = argparse.ArgumentParser(prog="cinetrack", description="Track tumours in the cine-MR of MR-linacs.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    for name, (module_name, summary) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == chosen:
            module = importlib.import_module(module_name)
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    return parser.parse_args(arguments)


def run_reporting_errors(function, *arguments) -> int:
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
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    sys.exit(main())
