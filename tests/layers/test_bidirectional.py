"""bidirectional reads from both ends, each sequence within its length."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw.layers.bidirectional import BidirectionalPair, bidirectional
from purefw.layers.gru import gru
from purefw.layers.lstm import lstm
from purefw.layers.rnn import rnn
from purefw.rule import Rule
from purefw.shared.recurrence import RecurrentInput, RecurrentOutput, reverse
from reference import chance
from tests.refute import compiled, normal_like, pull, random_params, refuted

RULE = compiled(bidirectional(rnn(3, 2), rnn(3, 5)))
LENGTHS = jnp.array([4, 1, 6])
PARTS = {"rnn": rnn, "gru": gru, "lstm": lstm}


def drawn(keys, lengths=LENGTHS):
    sequence = chance.normal(next(keys), (3, 6, 3))
    state = BidirectionalPair(
        chance.normal(next(keys), (3, 2)), chance.normal(next(keys), (3, 5))
    )
    return RecurrentInput(sequence, state, lengths)


def torch_module(torch, name, params):
    """torch's module with our parameters; gru's bias_state is part of its second."""
    module = getattr(torch.nn, name.upper())(3, 2, batch_first=True, bidirectional=True)
    ours = []
    for p in params:
        second = np.zeros(p.bias.size)
        if name == "gru":
            second[4:] = p.bias_state
        ours += [p.weight_input.T, p.weight_state.T, p.bias, second]
    module = module.double()
    with torch.no_grad():
        for theirs, v in zip(module.parameters(), ours, strict=True):
            theirs.copy_(torch.tensor(np.array(v)))
    return module


@pytest.mark.parametrize("name", PARTS)
def test_value_and_cotangents_agree_with_torch_at_unequal_lengths(name, keys):
    torch = pytest.importorskip("torch", reason="torch is the independent judge")
    part = PARTS[name](3, 2)
    rule = bidirectional(part, part)
    params = random_params(rule, next(keys))
    sequence = chance.normal(next(keys), (3, 6, 3))
    y = jax.eval_shape(rule.apply, params, RecurrentInput(sequence, None, LENGTHS))
    state, dy = normal_like(y.state, next(keys)), normal_like(y, next(keys))
    given = RecurrentInput(sequence, state, LENGTHS)
    y, dx = jax.jit(rule.apply)(params, given), pull(rule, params, given, dy)[1]
    module = torch_module(torch, name, params)
    x = torch.tensor(np.array(sequence), requires_grad=True)
    first = [torch.tensor(v, requires_grad=True) for v in stacked(state)]
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        x, torch.tensor(np.array(LENGTHS)), batch_first=True, enforce_sorted=False
    )
    out, last = module(packed, tuple(first) if name == "lstm" else first[0])
    out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
    last = list(last) if name == "lstm" else [last]
    cotangents = [torch.tensor(np.array(v)) for v in (dy.sequence, *stacked(dy.state))]
    torch.autograd.backward([out, *last], cotangents)
    ours = [y.sequence, *stacked(y.state), dx.sequence, *stacked(dx.state)]
    theirs = [*(v.detach() for v in (out, *last)), *(v.grad for v in (x, *first))]
    for a, b in zip(ours, theirs, strict=True):
        # 6 steps in float64; measured below 2e-15.
        np.testing.assert_allclose(a, b.numpy(), atol=1e-14)


def stacked(state):
    """Leaf by leaf, ahead's and back's on one axis, as torch has them."""
    return [np.stack(pair) for pair in zip(*map(jax.tree.leaves, state))]


def test_a_length_outside_the_array_is_visible_as_nan_in_both_parts(keys):
    x, params = drawn(keys, jnp.array([7, 6, -1])), random_params(RULE, next(keys))
    y = RULE.apply(params, x)
    for v in y.state:
        assert jnp.isnan(v).all(axis=1).tolist() == [True, False, True]
    for v in jnp.split(y.sequence, [2], axis=2):
        assert jnp.isnan(v).all(axis=(1, 2)).tolist() == [True, False, False]


def test_reversing_twice_changes_nothing(keys):
    v = chance.normal(next(keys), (3, 6, 2))
    assert jnp.all(reverse(reverse(v, LENGTHS), LENGTHS) == v)
    assert reverse(v, LENGTHS)[0, :, 0].tolist() == v[0, [3, 2, 1, 0, 4, 5], 0].tolist()
    assert jnp.all(reverse(v, None) == reverse(v, jnp.array([6, 6, 6])))


def test_dropping_one_direction_or_its_reversal_is_refuted(keys):
    def one_way(residuals, dy):
        half = dy.sequence.at[..., 2:].set(0)
        return RULE.backward(residuals, dy._replace(sequence=half))

    def unturned(residuals, dy):
        back = dy.sequence.at[..., 2:].set(reverse(dy.sequence[..., 2:], LENGTHS))
        return RULE.backward(residuals, dy._replace(sequence=back))

    for mutant in (one_way, unturned):
        wrong = refuted(RULE, drawn(keys), mutant)
        assert "dx.sequence" in wrong
        assert not any(leaf.startswith("dparams.ahead") for leaf in wrong)


def test_a_random_part_gets_a_key_of_its_own(keys):
    inner = rnn(3, 2)

    def noisy(params, x, key):
        noise = jax.random.normal(key, x.sequence.shape)
        return inner.forward(params, x._replace(sequence=x.sequence * noise))

    part = Rule("noisy", inner.init, noisy, inner.backward, True, inner.apply)
    rule = bidirectional(part, part)
    x, params = drawn(keys)._replace(state=None), random_params(rule, next(keys))
    same = params._replace(back=params.ahead)
    y, _ = rule.forward(same, x._replace(lengths=None), next(keys))
    assert jnp.any(y.state.ahead != y.state.back)
    with pytest.raises(ValueError, match="noisy: key must be given"):
        rule.forward(params, x)
    assert rule.apply(params, x).sequence.shape == (3, 6, 4)


def test_states_come_back_in_pairs_and_lengths_of_another_shape_are_refused(keys):
    x, params = drawn(keys), random_params(RULE, next(keys))
    y = RULE.apply(params, x)
    dx = pull(RULE, params, x, RecurrentOutput(y.sequence, y.state))[1]
    assert jax.tree.map(jnp.shape, dx.state) == jax.tree.map(jnp.shape, x.state)
    with pytest.raises(ValueError, match=r"bidirectional: lengths .* of shape \(3,\)"):
        RULE.forward(params, x._replace(lengths=jnp.array([1, 2])))
    with pytest.raises(ValueError, match="bidirectional: sequence must have shape"):
        RULE.forward(params, x._replace(sequence=jnp.ones((3, 6))))
