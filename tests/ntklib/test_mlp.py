"""Networks: the forward pass written out, the law of the initialisation, and the MLP as a pytree."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats
from support import DTYPE, EPS, assert_close, parameters, points, refuses, untyped

import ntklib as nk

FUNCTIONS = {"relu": lambda u: np.maximum(u, 0), "erf": special.erf}
WIDTHS = {1: (3, 2), 2: (3, 5, 1), 4: (3, 7, 4, 6, 2)}


def network(activation: nk.Activation, depth: int, beta: float = 0.3) -> tuple[nk.MLP, nk.Params]:
    mlp = nk.MLP(depth, activation, beta)
    return mlp, parameters(*WIDTHS[depth])


def forward_written_out(function, params, beta, x):
    alphas, tildes = [np.asarray(x, float)], []
    for W, b in params:
        n = W.shape[1]
        tildes.append(np.asarray(W, float) @ alphas[-1].T / math.sqrt(n) + beta * np.asarray(b, float)[:, None])
        tildes[-1] = tildes[-1].T
        alphas.append(function(tildes[-1]))
    return alphas[:-1], tildes


@pytest.mark.parametrize("activation", [nk.relu, nk.erf], ids=lambda a: a.name)
@pytest.mark.parametrize("depth", WIDTHS)
def test_forward_is_the_formula(activation, depth):
    mlp, params = network(activation, depth)
    x = points(6, 3)
    alphas, tildes = forward_written_out(FUNCTIONS[activation.name], params, mlp.beta, x)
    forward = nk.forward(mlp, params, x)
    assert len(forward.activations) == len(forward.preactivations) == depth
    # Sums of at most 7 products of numbers of order 1, through at most 4 layers.
    for actual, expected in zip((*forward.activations, *forward.preactivations), (*alphas, *tildes), strict=True):
        assert_close(actual, expected, 8 * depth * EPS)
    assert_close(nk.apply(mlp, params, x), tildes[-1], 8 * depth * EPS)


def test_depth_one_is_linear_regression():
    layer = nk.Layer(jnp.asarray([[1, 2, 2]], DTYPE), jnp.asarray([10], DTYPE))
    x = jnp.asarray([[3, 0, 0], [0, 3, 3]], DTYPE)
    assert_close(nk.apply(nk.MLP(1, beta=0.5), (layer,), x), [[3 / 3**0.5 + 5], [12 / 3**0.5 + 5]], 4 * EPS)


def test_init_has_the_widths_it_is_given():
    params = nk.init(nk.MLP(2), jax.random.key(0), (2, 3, 1))
    assert [layer.W.shape for layer in params] == [(3, 2), (1, 3)]
    assert [layer.b.shape for layer in params] == [(3,), (1,)]
    assert {a.dtype for a in jax.tree.leaves(params)} == {DTYPE}


def test_init_draws_independent_standard_normals():
    params = nk.init(nk.MLP(2), jax.random.key(1), (200, 300, 250))
    for entries in (np.asarray(a, float).ravel() for a in jax.tree.leaves(params)):
        n = entries.size
        assert abs(entries.mean()) < 4 / math.sqrt(n)
        assert abs(entries.var() - 1) < 4 * math.sqrt(2 / n)
        assert stats.kstest(entries, "norm").pvalue > 1e-3
    first, second = (np.asarray(layer.b, float)[:250] for layer in params)
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / math.sqrt(250)
    assert abs(np.corrcoef(np.asarray(params[0].W, float)[:, 0], np.asarray(params[0].b, float))[0, 1]) < 4 / 300**0.5


def test_init_draws_the_same_numbers_in_both_precisions():
    with jax.enable_x64(True):
        single, double = (nk.init(nk.MLP(2), jax.random.key(7), (2, 3, 1), dtype) for dtype in (np.float32, np.float64))
        assert double[0].W.dtype == jnp.float64
        assert all(jax.tree.leaves(jax.tree.map(lambda a, b: (a.astype(jnp.float64) == b).all(), single, double)))
    here = nk.init(nk.MLP(2), jax.random.key(7), (2, 3, 1))
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: (a == b.astype(DTYPE)).all(), here, single)))


def test_init_depends_on_the_key_alone():
    mlp, widths = nk.MLP(2), (2, 3, 1)
    a, b, c = (nk.init(mlp, jax.random.key(seed), widths) for seed in (0, 0, 1))
    assert (a[0].W == b[0].W).all() and (a[1].b == b[1].b).all()
    assert (a[0].W != c[0].W).all()


def test_many_initialisations_at_once():
    mlp, keys = nk.MLP(2), jax.random.split(jax.random.key(0), 3)
    params = jax.vmap(lambda key: nk.init(mlp, key, (2, 3, 1)))(keys)
    assert params[0].W.shape == (3, 3, 2)
    outputs = jax.vmap(lambda p: nk.apply(mlp, p, points(5, 2)))(params)
    alone = nk.apply(mlp, nk.init(mlp, keys[2], (2, 3, 1)), points(5, 2))
    assert_close(outputs[2], alone, 4 * EPS)


def test_beta_is_the_only_leaf_of_an_mlp():
    assert jax.tree.leaves(nk.MLP(3, nk.erf, 0.2)) == [0.2]
    assert jax.tree.map(lambda b: 2 * b, nk.MLP(3, nk.erf, 0.2)) == nk.MLP(3, nk.erf, 0.4)
    assert hash(nk.MLP(3)) == hash(nk.MLP(3))


@pytest.mark.parametrize("placeholder", [None, -1.0, True, "axis", object()])
def test_a_pytree_of_the_form_of_an_mlp_may_hold_anything(placeholder):
    tree = jax.tree.map(lambda _: placeholder, nk.MLP(3))
    assert tree.beta is placeholder and tree.depth == 3


def test_gradient_and_vmap_over_beta():
    mlp, params = network(nk.relu, 1)
    x = points(4, 3)
    slope = jax.grad(lambda mlp: nk.apply(mlp, params, x).sum())(mlp)
    assert_close(slope.beta, 4 * np.asarray(params[0].b, float).sum(), 8 * EPS)
    betas = jnp.asarray([0, 0.3], DTYPE)
    together = jax.vmap(lambda mlp: nk.apply(mlp, params, x))(nk.MLP(1, nk.relu, betas))
    assert_close(together[1], nk.apply(mlp, params, x), 4 * EPS)


@pytest.mark.parametrize("depth", [0, -1, 2.0, True, "2", None])
def test_a_depth_that_is_no_number_of_layers_is_refused(depth):
    with refuses(ValueError, "depth", "an integer from 1 on", "Write depth=2 for one hidden layer"):
        nk.MLP(depth)


@pytest.mark.parametrize(
    "beta", [-0.1, math.nan, math.inf, True, "0.1", None, jnp.array(-1.0), np.array(np.nan), jnp.array([0.1, -0.1])]
)
def test_a_beta_that_is_no_factor_is_refused(beta):
    with refuses(ValueError, "beta", "a finite number from 0 on", "Write, for example, beta=0.1"):
        nk.MLP(2, nk.relu, beta)


@pytest.mark.parametrize("beta", [0, 0.1, np.float32(0.1), np.array([0.0, 0.1]), jnp.array(0.1)])
def test_a_beta_may_be_any_kind_of_number(beta):
    with untyped():
        assert nk.MLP(2, nk.relu, beta).beta is beta


@pytest.mark.parametrize("activation", [jax.nn.relu, "relu", None])
def test_an_activation_that_is_none_is_refused(activation):
    with refuses(TypeError, "activation", "an ntklib.Activation", "Write ntklib.relu, or Activation"):
        nk.MLP(2, activation)


@pytest.mark.parametrize("widths", [(2, 1), (2, 3, 4, 1), (), 3])
def test_widths_that_do_not_fit_the_depth_are_refused(widths):
    with refuses(ValueError, "widths", r"that is depth \+ 1 = 3 numbers", r"widths=\(2, 100, 1\)"):
        nk.init(nk.MLP(2), jax.random.key(0), widths)


@pytest.mark.parametrize("width", [0, -3, 2.5, True, "5"])
def test_widths_that_are_no_counts_are_refused(width):
    with refuses(ValueError, "widths", "integers from 1 on", r"widths=\(2, 100, 1\)"):
        nk.init(nk.MLP(2), jax.random.key(0), (2, width, 1))


@pytest.mark.parametrize("function", [nk.apply, nk.forward, nk.empirical_ntk, nk.empirical_ntk_full])
def test_parameters_that_do_not_fit_are_refused(function):
    mlp, params = network(nk.relu, 2)
    with refuses(ValueError, "params", "one .W, b. per layer, depth = 4", r"Write params = init\(mlp, key, widths\)"):
        function(nk.MLP(4), params, points(5, 3))
    with refuses(ValueError, "x", "n_0 = 3 columns", "Write widths whose first number"):
        function(mlp, params, points(5, 2))
    with refuses(TypeError, "x and params", "one dtype", r"Write params.astype\(x.dtype\)"):
        function(mlp, params, points(5, 3).astype("float16"))
