"""Entry of the `cinetrack` command.

Each subcommand is a module of this package with `NAME`, `HELP`, `add_arguments(parser)` and `run(args) -> int`.
They are imported only when called for, so that `cinetrack --help` does not load torch.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
import traceback

from cinetrack.errors import InputError

# The one list of commands: the parser, the docs and the tests read it. Name -> (module, help).
COMMANDS: dict[str, tuple[str, str]] = {
    "predict": ("cinetrack.cli.predict", "track one case or a dataset and write the masks"),
    "bundle": ("cinetrack.cli.bundle", "assemble or check a model bundle"),
    "label": ("cinetrack.cli.label", "label first frames in the browser"),
    "propagate": ("cinetrack.cli.propagate", "track every labelled sequence through, as pseudo-labels"),
}


def main(argv: list[str] | None = None) -> int:
    """Run a subcommand. Exit code 0: done, 2: bad input, 1: a failure of ours."""
    arguments = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="cinetrack", description="Track tumours in the cine-MR of MR-linacs.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    for name, (module_name, summary) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == chosen:
            module = importlib.import_module(module_name)
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    return run_reporting_errors(args.run, args)


def run_reporting_errors(function, *arguments) -> int:
    """Call `function`; turn an InputError into one line and 2, any other exception into its traceback and 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
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
