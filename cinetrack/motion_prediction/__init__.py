"""Where the target will be: predictors that take its positions one by one and see no later one.

No medical device: research and simulation.
"""

from cinetrack.motion_prediction.predictor import PREDICTORS, Prediction, Predictor, make_predictor

__all__ = ["PREDICTORS", "Prediction", "Predictor", "make_predictor"]
