"""The labelling app as a Hugging Face Space. Settings are the Space's variables and secrets, see README.md."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
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


def main() -> None:
    """Serve the app on the port that a Space exposes."""
    bundle = os.environ.get("CINETRACK_BUNDLE")
    model = load_model(find_bundle(Path(bundle) if bundle else None), "auto")
    cases = find_cases(local_dataset(os.environ["CINETRACK_DATASET"]))
    service = LabellingService(cases, open_files(os.environ["CINETRACK_STORE"]), model, np.random.default_rng())
    labellers = frozenset(name.strip() for name in os.environ.get("CINETRACK_LABELLERS", "").split(",") if name.strip())
    app = build_app(service, Identity(hub_sign_in=True, allowed=labellers))
    host = os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0")
    launch(app, ServerSettings(host, int(os.environ.get("GRADIO_SERVER_PORT", "7860"))))


if __name__ == "__main__":
    main()
