"""When the beam may be on: windows around the planned target, the beam's latency, and how right the gate was.

No medical device: research and simulation.
"""

from cinetrack.gating.gate import Gate
from cinetrack.gating.window import DistanceWindow, ShareWindow, Window

__all__ = ["DistanceWindow", "Gate", "ShareWindow", "Window"]
