"""One part of an exercise on one configuration: what is asked, and what is true.

The forward runs before the submission is asked, because backward is given its
residuals; the truth is computed afterwards, when the arrays are back:

    (1)  V = jax.vjp(forward, args)(dy) in float64, y and the residuals beside it
    (2)  the noise of each: what moving the last bits of args and dy does to it, and
         what rounding every operation's result at random does: 1 - y² of a rounded y

Both are kept, so that a class is graded on one compilation.
"""

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reference.compare import Comparison, compare, rms, steady
from reference.teaching.exercise import Configuration, Exercise, Part, drawn
from reference.teaching.sheet import field_names, output_names
from reference.verifier.noise import Noisy, rounded, shaken, spread, to_numpy
from reference.verifier.oracle import exact_arithmetic
from reference.verifier.pullbacks import pullback_of

REPEATS = 4
QUICK = {"xla_backend_optimization_level": 0}


@dataclass
class Question:
    """A part at a configuration; wants nothing of JAX's settings.

    Attributes:
        part: What is asked.
        case: On which arguments.
        seed: Of dy.
        usual: The same part on its first configuration, None there: how large its
            gradients are tells a kink's jump from noise where all of a gradient is
            small, as that of a saturated tanh.
    """

    part: Part
    case: Configuration
    seed: int
    usual: "Question | None" = None

    @cached_property
    def forward(self) -> Any:
        """With its options bound."""
        return partial(self.part.forward, **self.case.options)

    @cached_property
    def run(self) -> tuple[Any, Any]:
        """y and residuals as the reference computes them, on the host."""
        with exact_arithmetic():
            found = jax.jit(self.forward, compiler_options=QUICK)(*self.args)
            return jax.tree.map(np.asarray, found)

    @property
    def args(self) -> list[np.ndarray]:
        """As arrays."""
        return [np.asarray(a) for a in self.case.args]

    @property
    def kept(self) -> list[np.ndarray]:
        """The residuals, in order."""
        return list(self.run[1])

    @cached_property
    def dy(self) -> list[np.ndarray]:
        """A normal cotangent for each array in y."""
        rng = np.random.default_rng([0xD7, self.seed])
        return [rng.standard_normal(v.shape) for v in jax.tree.leaves(self.run[0])]

    @property
    def outputs(self) -> list[str]:
        """What forward returns: the arrays in y, then the residuals."""
        y, residuals = self.run
        return [*output_names(y), *field_names(residuals)]

    @property
    def gradients(self) -> list[str]:
        """What backward returns, as the learner knows it."""
        return [f"d{name}" for name in self.part.gradients]

    def differs(self, name: str, found: np.ndarray) -> Comparison | str | None:
        """How what a submission returned is wrong; None where it is right."""
        truth, noise = self.truth[name]
        if found.shape != truth.shape:
            return f"{name} must have shape {truth.shape}, got {found.shape}"
        if not np.issubdtype(truth.dtype, np.floating):
            same = np.array_equal(found, truth)
            return None if same else f"{name} is not what was to be kept"
        compared = compare(found.astype(float), truth, noise)
        return None if compared.passes else compared

    @cached_property
    def truth(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """(1) and (2) of every output and gradient by name; noise 0 for integers."""
        names = [f"d{n}" for n in self._live]
        y, residuals = self.run
        floats = [
            name
            for name, v in zip(self.outputs, [*jax.tree.leaves(y), *residuals])
            if np.issubdtype(v.dtype, np.floating)
        ]
        noisy = self._noisy
        found = {
            name: (value, steady(noise, value, scale=self._scale(name)))
            for name, value, noise in zip([*names, *floats], noisy.value, noisy.noise)
        }
        exact = zip(field_names(residuals), residuals)
        return {n: (v, np.zeros(v.shape)) for n, v in exact if n not in found} | found

    def _scale(self, name: str) -> float:
        return 0.0 if self.usual is None else rms(self.usual.truth[name][0])

    @property
    def _live(self) -> list[str]:
        pairs = zip(self.part.arguments, self.args)
        return [n for n, a in pairs if np.issubdtype(a.dtype, np.floating)]

    def _primal(self, live: list, rest: list) -> list:
        floats, others = iter(live), iter(rest)
        args = (next(floats if is_float(a) else others) for a in self.args)
        return [v for v in jax.tree.leaves(self.forward(*args)) if is_float(v)]

    @cached_property
    def _noisy(self) -> Noisy:
        live = [a for a in self.args if is_float(a)]
        rest = [a for a in self.args if not is_float(a)]
        dys = [*self.dy, *(np.zeros(v.shape) for v in self.kept if is_float(v))]
        rng = np.random.default_rng([0x5E, self.seed])
        with exact_arithmetic():
            f = rounded(pullback_of(self._primal), widen=False)
            program = jax.jit(f, compiler_options=QUICK)

            def run(live: list, dys: list, seed: int, size: float) -> list[np.ndarray]:
                return to_numpy(program(live, rest, dys, np.uint32(seed), size))

            values = [run(live, dys, k, float(k > 0)) for k in range(1 + REPEATS)]
            moved = [
                run(shaken(live, rng), shaken(dys, rng), 0, 0.0) for _ in range(REPEATS)
            ]
        both = zip(spread(values), spread([values[0], *moved]))
        return Noisy(values[0], [np.asarray(a + b) for a, b in both])


def is_float(v: Any) -> bool:
    """Whether an array is of real numbers."""
    return bool(jnp.issubdtype(v.dtype, jnp.floating))


def questions(exercise: Exercise, seed: int) -> list[list[Question]]:
    """For each part its questions, the usual ones first."""
    parts = zip(exercise.parts, drawn(exercise, seed))
    return [
        of_part(part, cases, 1000 * seed + 100 * k)
        for k, (part, cases) in enumerate(parts)
    ]


def of_part(part: Part, cases: list[Configuration], seed: int) -> list[Question]:
    """A part's questions."""
    usual = Question(part, cases[0], seed)
    rest = [Question(part, c, seed + j, usual) for j, c in enumerate(cases[1:], 1)]
    return [usual, *rest]
