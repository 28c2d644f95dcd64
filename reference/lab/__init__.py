"""The lesson's lab: nine perceptrons, four questions, and one accident.

sweep       trains the networks, all seeds of one side by side
accident    trains the same network with one shared activation object, in NumPy
answers     a sentence for each question, computed from the figures
figures     the four figures and the accident's
table       the accuracies, beside published ones
page        all of it as one HTML page
"""

from reference.lab.accident import Accident, accident
from reference.lab.answers import answers
from reference.lab.sweep import Run, sweep

__all__ = ["Accident", "Run", "accident", "answers", "sweep"]
