"""Why a backward pass is wrong: causes that are proved, or the place of the error.

    cause          what is said: Cause, Diagnosis
    scene          one point under one cotangent, and everything known there
    hypothesis     two sides that are equal if it is true; the proof at fresh scenes
    constants      a factor named by its law in the sizes

and the families of hypotheses, a module each: relation, cotangent, paths, residuals,
contributions, edits, products, nonfinite, shapes, precision, contract. `diagnose` goes
through them from cheap to dear.
"""
