"""The shipped bundles, and the paper's chain, give the masks and logits that were recorded (`frozen_scenarios`)."""

from __future__ import annotations

import numpy as np
import pytest
from frozen_scenarios import RECORDED, all_runs, load, run

# Processors differ in the last digits of a convolution, and a pixel on an outline may fall to either side.
PIXELS_ALLOWED = 2e-5
LOGITS_ALLOWED = 0.06  # they are kept in half precision: 0.03 at 64


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Bundles by name, each loaded once."""
    scratch, loaded = tmp_path_factory.mktemp("frozen"), {}

    def of(name: str):
        if name not in loaded:
            loaded[name] = load(name, scratch)
        return loaded[name]

    return of


def runs() -> list:
    """All of them; the paper's chain, whose nnU-Net has hundreds of tiles a frame, only on one case by default."""
    return [
        pytest.param(*run_, marks=pytest.mark.slow) if run_[1] == "paper" and run_[2] != "easy" else run_
        for run_ in all_runs()
    ]


@pytest.mark.parametrize(("scenario", "bundle", "case"), runs())
def test_masks_and_logits_are_those_that_were_recorded(models, scenario, bundle, case):
    with np.load(RECORDED) as recorded:
        for name, found in run(scenario, models(bundle), case).items():
            expected = recorded[f"{scenario}/{bundle}/{case}/{name}"]
            if found.dtype == bool:
                expected = np.unpackbits(expected, count=found.size).reshape(found.shape).astype(bool)
                assert (found != expected).mean() <= PIXELS_ALLOWED
            else:
                np.testing.assert_allclose(found.astype(float), expected.astype(float), atol=LOGITS_ALLOWED)
