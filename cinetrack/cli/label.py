"""`cinetrack label`: the labelling app on this machine."""

from __future__ import annotations

import argparse
import getpass
import socket
import sys
from pathlib import Path

from cinetrack.cli.options import add_device, add_model
from cinetrack.cli.notes import note
from cinetrack.errors import InputError
from cinetrack.labelling.users import UserFile, add_user


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("dataset", type=Path, nargs="?", metavar="DATASET", help="a TrackRAD2025 dataset folder")
    parser.add_argument(
        "--store",
        default="labels",
        help="where labels go: folder (default ./labels), hf://datasets/OWNER/NAME, s3://...",
    )
    add_model(parser)
    add_device(parser)
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1: this machine only)"
    )
    parser.add_argument("--port", type=int, help="the first free one from 7860 on by default")
    parser.add_argument("--share", action="store_true", help="also through a public gradio.live link; needs --auth")
    parser.add_argument("--auth", type=Path, metavar="FILE", help="json file of users and hashed passwords")
    parser.add_argument(
        "--add-user", metavar="NAME", help="add a user to the --auth file (or change a password), and stop"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted; prints the address."""
    if args.add_user is not None:
        return _add_user(args)
    if args.dataset is None:
        raise InputError("DATASET: expected a TrackRAD2025 dataset folder, found none")
    if args.share and args.auth is None:
        raise InputError("--share: expected --auth with it, as anyone may find the link; found none")
    users = None if args.auth is None else UserFile(args.auth)
    _check_address(args.host, args.port)

    import numpy as np

    from cinetrack.bundle.lookup import find_bundle
    from cinetrack.labelling.service import LabellingService
    from cinetrack.labelling.store import open_files
    from cinetrack.pipeline.model import load_model
    from cinetrack.sequence import find_cases

    try:
        from cinetrack.labelling.web.app import build_app
        from cinetrack.labelling.web.identity import Identity
        from cinetrack.labelling.web.server import ServerSettings, launch
    except ImportError as error:
        raise InputError(f"label: expected the packages of cinetrack[label], found no {error.name}") from None

    cases, files = find_cases(args.dataset), open_files(args.store)
    model = load_model(find_bundle(args.model), args.device)
    service = LabellingService(cases, files, model, np.random.default_rng())
    note(
        f"{len(cases)} sequences, labels in {files.location}; {model.bundle.description} on {model.device}, "
        f"boxes by {service.segmenter.name}"
    )
    settings = ServerSettings(args.host, args.port, args.share, users.verify if users else None)
    try:
        url = launch(build_app(service, Identity()), settings, block=False)
    except OSError as error:
        raise InputError(f"--host {args.host}: expected an address with a free port, found {error}") from None
    print(url, flush=True)
    _wait()
    return 0


def _check_address(host: str, port: int | None) -> None:
    """Raise InputError where this machine cannot listen there; the server itself would wait for ever."""
    if port is not None and not 1 <= port <= 65535:
        raise InputError(f"--port: expected a number from 1 to 65535, found {port}")
    try:
        with socket.create_server((host, port or 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        wanted = "a free port of this machine" if port else "an address of this machine"
        raise InputError(f"{host}:{port or 'any port'}: expected {wanted}, found none ({error})") from None


def _add_user(args: argparse.Namespace) -> int:
    if args.auth is None:
        raise InputError("--add-user: expected --auth FILE with it, found none")
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password for {args.add_user}: ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    add_user(args.auth, args.add_user, password)
    note(f"{args.auth}: added {args.add_user}")
    return 0


def _wait() -> None:
    import threading

    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return
