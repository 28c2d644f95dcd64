"""What a backward pass must keep besides being right: structure, linearity, purity.

    structure_findings(subject)       before any arithmetic: trees, shapes, dtypes
    behaviour_findings(subject, dy)   linear in dy, a pure function, the same under
                                      jit, vmap and jax.custom_vjp

Each returns a list of `Finding`, empty for a rule that keeps the contract.
"""

from reference.contract.behaviour import behaviour_findings
from reference.contract.finding import Finding
from reference.contract.structure import structure_findings

__all__ = ["Finding", "behaviour_findings", "structure_findings"]
