"""Planted mistakes: what a check would have caught.

slips.py, operators.py   what may happen to one equation
edits.py                 all edited programs of a function, compiled as one
plants.py, classes.py    mistakes around a backward pass; the class of each mistake
schema.py                all mutants of a rule, together and one at a time
equivalence.py           which of them are no mistakes
mutants.py, power.py     `mutants(rule, params, x)`, `power(rule, check, x)`
quick.py, rivals.py      the verifier, and other checks, on all mutants at once
panel.py, results.py     the registry before all of them, and the tables
"""
