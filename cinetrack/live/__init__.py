"""Follow a scanner live: frames in, masks, predictions and a beam decision out, all logged for replay.

No medical device: research and simulation.
"""

from cinetrack.live.frame import FirstMask, LiveFrame
from cinetrack.live.model import LiveMask, LiveModel, LiveSteps, open_model
from cinetrack.live.result import LiveResult
from cinetrack.live.session import LiveSession

__all__ = [
    "FirstMask",
    "LiveFrame",
    "LiveMask",
    "LiveModel",
    "LiveResult",
    "LiveSession",
    "LiveSteps",
    "open_model",
]
