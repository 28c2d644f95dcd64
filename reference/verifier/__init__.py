"""How a backward pass is judged: `verify` is the order, `judge` the court.

subject, problem           what is judged, as flat lists of leaves
points, cotangents, probe  where to look
oracle, pullbacks, noise   the truth in float64, and how exactly it is known
judge, excuses, kinks, subgradient, convergence, nonfinite    MATH
rounding                   ROUNDING
circular, replay, programs, eager    the forward opened
numeric, witnesses, black_box, digits    without autodiff
audit, shapes, shrink, second_order  what was not seen, other sizes, a reproducer
"""
