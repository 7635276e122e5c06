"""The decision of one frame: may the beam be on?

No medical device: research and simulation.
"""

from __future__ import annotations

import numpy as np

from cinetrack.gating.window import Window


class Gate:
    """Lets the beam on while the target is in the window, and holds it where the target is lost."""

    def __init__(self, window: Window) -> None:
        self._window = window

    def decide(self, moved_mm: np.ndarray) -> bool:
        """Whether the beam may be on for a (predicted) displacement (2,) from the plan, mm; NaN: lost, so off."""
        return bool(self._window.inside(np.asarray(moved_mm, dtype=np.float64)[None])[0])
