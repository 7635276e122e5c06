"""The labelling app as a Hugging Face Space. Settings are the Space's variables and secrets, see README.md."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from gradio.utils import get_space
from huggingface_hub import snapshot_download

from cinetrack.bundle import find_bundle
from cinetrack.labelling.service import LabellingService
from cinetrack.labelling.store import open_files
from cinetrack.labelling.web.app import build_app
from cinetrack.labelling.web.identity import Identity
from cinetrack.labelling.web.server import ServerSettings, launch
from cinetrack.pipeline.model import load_model
from cinetrack.sequence import find_cases

HUB_PREFIX = "hf://datasets/"


def local_dataset(address: str) -> Path:
    """The dataset's folder; one on the Hub is downloaded first."""
    if address.startswith(HUB_PREFIX):
        return Path(snapshot_download(address.removeprefix(HUB_PREFIX), repo_type="dataset"))
    return Path(address)


def setting(name: str) -> str:
    """A variable of the Space. Stops with a readable line where it is missing."""
    value = os.environ.get(name, "").strip()
    if not value:
        sys.exit(f"error: {name}: expected it among the Space's variables (see README.md), found none")
    return value


def main() -> None:
    """Serve the app on the port that a Space exposes."""
    host = os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0")
    if get_space() is None and host != "127.0.0.1":
        # Elsewhere Gradio's sign-in is a mock-up that makes every visitor the owner of HF_TOKEN.
        sys.exit(f"error: GRADIO_SERVER_NAME: expected 127.0.0.1 outside a Hugging Face Space, found {host}")
    listed = setting("CINETRACK_LABELLERS")
    bundle = os.environ.get("CINETRACK_BUNDLE")
    model = load_model(find_bundle(Path(bundle) if bundle else None), "auto")
    cases = find_cases(local_dataset(setting("CINETRACK_DATASET")))
    service = LabellingService(cases, open_files(setting("CINETRACK_STORE")), model, np.random.default_rng())
    labellers = frozenset() if listed == "*" else frozenset(name.strip() for name in listed.split(","))
    app = build_app(service, Identity(hub_sign_in=True, allowed=labellers))
    launch(app, ServerSettings(host, int(os.environ.get("GRADIO_SERVER_PORT", "7860"))))


if __name__ == "__main__":
    main()
