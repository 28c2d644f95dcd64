"""Why a backward pass is wrong: causes that are proved, or the place of the error.

    cause          what is said: Cause, Diagnosis
    scene          one point under one cotangent, and everything known there
    hypothesis     two sides that are equal if it is true; the proof at fresh scenes
    constants      a factor named by its law in the sizes

    known_arrays   every array at hand by name
    backward_program, operand_program, path_program
                   the hand's equations, its operands, the forward's paths

and the families of hypotheses, a module each: relation, arrangements, masks, cotangent,
terms, proportions, state, residuals, paths, contributions, reductions, edits, products,
operands, scope, operations, nonfinite, shapes, precision, contract. `diagnose` goes
through them from cheap to dear. numpy_code and differences make what JAX cannot trace
into a subject that can be taken apart.
"""
