"""Exercises, their grader, bug hunts and class reports, for learner and teacher."""
