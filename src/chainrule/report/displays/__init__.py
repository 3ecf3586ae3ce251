"""Displays in scikit-learn's manner: `SomethingDisplay.from_estimator(...)` draws a fitted network on matplotlib axes.

In: a fitted estimator, or its predictions. Out: displays with `plot`, and the axes that they drew on.
"""

from chainrule.report.displays.base import Display
from chainrule.report.displays.calibration import CalibrationDisplay
from chainrule.report.displays.confusion import ConfusionDisplay
from chainrule.report.displays.training_curve import TrainingCurveDisplay
from chainrule.report.displays.weight_images import WeightImagesDisplay

__all__ = ["CalibrationDisplay", "ConfusionDisplay", "Display", "TrainingCurveDisplay", "WeightImagesDisplay"]
