"""rnn, gru and lstm agree with torch and keep what their shared recurrence promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from purefw.layers.gru import gru
from purefw.layers.lstm import LSTMParams, LSTMState, lstm
from purefw.layers.rnn import rnn
from purefw.shared.recurrence import RecurrentInput, RecurrentOutput, input_cotangent
from reference import chance
from tests.refute import compiled, pull, random_params, refuted

RULES = {
    "rnn": compiled(rnn(3, 2)),
    "gru": compiled(gru(3, 2)),
    "lstm": compiled(lstm(3, 2)),
}
LENGTHS = [7, 1, 4]
each = pytest.mark.parametrize("name", RULES)


def state_of(name, key, batch=3):
    h, c = jax.random.normal(key, (2, batch, 2))
    return LSTMState(h, c) if name == "lstm" else h


def input_of(name, keys, lengths=None):
    sequence = chance.normal(next(keys), (3, 7, 3))
    lengths = None if lengths is None else jnp.array(lengths)
    return RecurrentInput(sequence, state_of(name, next(keys)), lengths)


def random_output(name, keys):
    sequence = chance.normal(next(keys), (3, 7, 2))
    return RecurrentOutput(sequence, state_of(name, next(keys)))


def close(ours, theirs):
    """Leaf by leaf; 7 steps of a contraction in float64, measured below 2e-15."""
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=1e-13)


def theirs(torch, name, params):
    """The torch module with our parameters; its second bias holds gru's bias_state."""
    module = getattr(torch.nn, name.upper())(3, 2, batch_first=True).double()
    second = np.zeros(params.bias.size)
    if name == "gru":
        second[4:] = params.bias_state
    values = (params.weight_input.T, params.weight_state.T, params.bias, second)
    with torch.no_grad():
        for theirs, ours in zip(module.parameters(), values, strict=True):
            theirs.copy_(torch.tensor(np.array(ours)))
    return module


@each
def test_forward_and_gradients_agree_with_torch_at_unequal_lengths(name, keys):
    torch = pytest.importorskip("torch", reason="torch is the independent judge")
    rule = RULES[name]
    params = random_params(rule, next(keys))
    x, dy = input_of(name, keys, LENGTHS), random_output(name, keys)
    module = theirs(torch, name, params)

    def tensors(tree):
        return [
            torch.tensor(np.array(v), requires_grad=True) for v in jax.tree.leaves(tree)
        ]

    sequence, states = tensors(x.sequence)[0], tensors(x.state)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        sequence, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False
    )
    first = [s[None] for s in states]
    out, last = module(packed, tuple(first) if name == "lstm" else first[0])
    out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
    last = [v[0] for v in (last if name == "lstm" else [last])]
    y, residuals = rule.forward(params, x)
    close(y, [v.detach().numpy() for v in (out, *last)])
    cotangents = [torch.tensor(np.array(v)) for v in jax.tree.leaves(dy)]
    torch.autograd.backward([out, *last], cotangents)
    dparams, dx = rule.backward(residuals, dy)
    close((dx.sequence, dx.state), [v.grad.numpy() for v in (sequence, *states)])
    grads = [v.grad.numpy() for v in module.parameters()]
    expected = [grads[0].T, grads[1].T, grads[2]]
    close(dparams, [*expected, grads[3][4:]] if name == "gru" else expected)


@each
def test_padding_changes_nothing_and_gets_nothing(name, keys):
    rule = RULES[name]
    params, dy = random_params(rule, next(keys)), random_output(name, keys)
    x = input_of(name, keys, LENGTHS)
    padding = jnp.arange(7)[None, :, None] >= jnp.array(LENGTHS)[:, None, None]
    padding = jnp.broadcast_to(padding, x.sequence.shape)
    other = x._replace(sequence=jnp.where(padding, 1e3, x.sequence))
    y, (dparams, dx) = rule.apply(params, x), pull(rule, params, x, dy)
    assert jnp.all(jnp.where(padding[..., :2], y.sequence, 0.0) == 0)
    assert jnp.all(jnp.where(padding, dx.sequence, 0.0) == 0)
    close(rule.apply(params, other), y)
    close(pull(rule, params, other, dy)[0], dparams)


@each
def test_a_row_of_length_0_hands_its_state_through(name, keys):
    rule = RULES[name]
    x, dy = input_of(name, keys, [0, 7, 3]), random_output(name, keys)
    params = random_params(rule, next(keys))
    y, (_, dx) = rule.apply(params, x), pull(rule, params, x, dy)
    for given, got in ((x.state, y.state), (dy.state, dx.state)):
        for a, b in zip(jax.tree.leaves(given), jax.tree.leaves(got)):
            assert jnp.all(a[0] == b[0])


@each
def test_a_length_outside_the_array_is_visible_as_nan(name, keys):
    rule = RULES[name]
    x, params = input_of(name, keys, [8, -1, 7]), random_params(rule, next(keys))
    y, residuals = jax.jit(rule.forward)(params, x)
    assert jnp.isnan(y.sequence).all(axis=(1, 2)).tolist() == [True, False, False]
    for v in jax.tree.leaves(y.state):
        assert jnp.isnan(v).all(axis=1).tolist() == [True, True, False]
    _, dx = rule.backward(residuals, random_output(name, keys))
    for v in jax.tree.leaves(dx.state):
        assert jnp.all(v[:2] == 0) and jnp.all(v[2] != 0)


@each
def test_no_state_is_a_state_of_zeros_without_a_cotangent(name, keys):
    rule, dy = RULES[name], random_output(name, keys)
    x, params = input_of(name, keys), random_params(rule, next(keys))
    zero = x._replace(state=jax.tree.map(jnp.zeros_like, x.state))
    none = x._replace(state=None)
    close(rule.apply(params, none), rule.apply(params, zero))
    (dparams, dx), (dparams_0, dx_0) = (pull(rule, params, v, dy) for v in (none, zero))
    close((dparams, dx.sequence), (dparams_0, dx_0.sequence))
    assert dx.state is None and dx.lengths is None


@each
def test_two_halves_of_a_sequence_compose(name, keys):
    rule = RULES[name]
    x, params = input_of(name, keys), random_params(rule, next(keys))
    whole = rule.apply(params, x)
    first = rule.apply(params, x._replace(sequence=x.sequence[:, :4]))
    rest = RecurrentInput(x.sequence[:, 4:], first.state, None)
    second = rule.apply(params, rest)
    close(second.state, whole.state)
    close(jnp.concatenate([first.sequence, second.sequence], 1), whole.sequence)


def test_an_open_forget_gate_hands_the_cell_through_and_a_small_weight_nothing(keys):
    rule, x, dy = RULES["lstm"], input_of("lstm", keys), random_output("lstm", keys)
    open_gate = rule.init(next(keys)).bias * 40
    params = LSTMParams(jnp.zeros((3, 8)), jnp.zeros((2, 8)), open_gate)
    quiet = dy._replace(sequence=0 * dy.sequence)
    quiet = quiet._replace(state=quiet.state._replace(hidden=0 * dy.state.hidden))
    close(pull(rule, params, x, quiet)[1].state.cell, dy.state.cell)
    rule, dh = RULES["rnn"], random_output("rnn", keys)
    params = random_params(rule, next(keys))
    params = params._replace(weight_state=0.01 * params.weight_state)
    quiet = dh._replace(sequence=0 * dh.sequence)
    dx = pull(rule, params, input_of("rnn", keys), quiet)[1]
    assert 0 < jnp.abs(dx.state).max() < 1e-10


@each
def test_forgetting_the_final_state_is_refuted(name, keys):
    rule = RULES[name]

    def forgetful(residuals, dy):
        state = jax.tree.map(jnp.zeros_like, dy.state)
        return rule.backward(residuals, dy._replace(state=state))

    wrong = refuted(rule, input_of(name, keys), forgetful)
    assert "dparams.weight_state" in wrong and "dx.sequence" in wrong


def test_forgetting_the_final_cell_alone_is_refuted(keys):
    rule = RULES["lstm"]

    def forgetful(residuals, dy):
        cell = jnp.zeros_like(dy.state.cell)
        return rule.backward(residuals, dy._replace(state=dy.state._replace(cell=cell)))

    assert "dx.state.cell" in refuted(rule, input_of("lstm", keys), forgetful)


@each
def test_the_cotangent_of_another_step_is_refuted(name, keys):
    rule = RULES[name]

    def late(residuals, dy):
        shifted = jax.tree.map(lambda v: jnp.roll(v, 1, axis=1), dy.sequence)
        return rule.backward(residuals, dy._replace(sequence=shifted))

    assert "dx.sequence" in refuted(rule, input_of(name, keys), late)


@each
def test_forgetting_the_mask_is_refuted(name, keys):
    rule = RULES[name]

    def unmasked(residuals, dy):
        x = residuals.x
        whole = residuals._replace(x=x._replace(lengths=None))
        dparams, dx = rule.backward(whole, dy)
        return dparams, input_cotangent(x, dx.sequence, dx.state)

    assert "dx.sequence" in refuted(rule, input_of(name, keys, LENGTHS), unmasked)


@each
def test_bad_shapes_are_refused(name, keys):
    rule = RULES[name]
    x, params = input_of(name, keys), random_params(rule, next(keys))
    with pytest.raises(ValueError, match=rf"{name}: sequence .* \(batch, time, 3\)"):
        rule.forward(params, x._replace(sequence=jnp.ones((3, 7, 5))))
    with pytest.raises(ValueError, match=rf"{name}: sequence .* a step, got \(3, 0"):
        rule.forward(params, x._replace(sequence=jnp.ones((3, 0, 3))))
    with pytest.raises(ValueError, match=rf"{name}: state must have shape \(3, 2\)"):
        rule.forward(params, x._replace(state=state_of(name, next(keys), batch=5)))
    for lengths in (jnp.array([1, 2]), jnp.ones(3)):
        with pytest.raises(ValueError, match=rf"{name}: lengths must be integers"):
            rule.forward(params, x._replace(lengths=lengths))
    make = {"rnn": rnn, "gru": gru, "lstm": lstm}[name]
    with pytest.raises(ValueError, match=f"{name}: n_in must be at least 1, got 0"):
        make(0, 2)
    with pytest.raises(ValueError, match=f"{name}: hidden must be at least 1, got 0"):
        make(3, 0)
