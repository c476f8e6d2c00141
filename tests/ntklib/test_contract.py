"""What holds for every public function: it compiles once, under jit and vmap too, and keeps the dtype.

Each row below is a call as a function of arrays alone, and arrays for it.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest
from oracles import slope
from support import DTYPE, EPS, PUBLIC_FUNCTIONS, assert_close, parameters, points

import ntklib as nk

EVENTS: list[str] = []
jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: EVENTS.append(name.rsplit("/", 1)[-1]))

NETWORK = nk.MLP(3, nk.relu, 0.1)
PARAMS = parameters(2, 4, 3, 2)
X, Y = points(5, 2), points(4, 2, seed=1)
network = partial(nk.apply, NETWORK)


class Call(NamedTuple):
    function: Callable
    arguments: tuple
    traces_again: bool = False
    """Whether the function of the reader is traced at every call, to learn the shape of its values."""


def variances(x: jax.Array) -> tuple[jax.Array, ...]:
    return 1 + x * x, x, 1 + x


GRAM = X @ X.T + jnp.diag(jnp.arange(1.0, 6.0))
BLOCKS = nk.Blocks(GRAM, Y @ X.T, Y @ Y.T + jnp.eye(4))
SPECTRUM = nk.spectrum(GRAM)
COSINES = jnp.linspace(-1, 1, 7, dtype=DTYPE)

CALLS = {
    "apply": Call(network, (PARAMS, X)),
    "blocks": Call(partial(nk.blocks, lambda x, y=None: x @ (x if y is None else y).T), (X, Y)),
    "circle": Call(nk.circle, (X[:, 0],)),
    "correlations": Call(partial(nk.correlations, depth=4), (COSINES,)),
    "cosine_map": Call(nk.cosine_map, (COSINES,)),
    "cosine_map_derivative": Call(nk.cosine_map_derivative, (COSINES,)),
    "cross_entropy_cost": Call(partial(nk.cross_entropy_cost, labels=jnp.arange(5) % 2), (X,)),
    "dual": Call(partial(nk.dual, nk.relu), variances(jnp.abs(X))),
    "dual_dot": Call(partial(nk.dual_dot, nk.relu), variances(jnp.abs(X))),
    "empirical_ntk": Call(partial(nk.empirical_ntk, NETWORK), (PARAMS, X, Y)),
    "empirical_ntk_full": Call(partial(nk.empirical_ntk_full, NETWORK), (PARAMS, X, Y)),
    "extend": Call(partial(nk.extend, i=1), (SPECTRUM, Y @ X.T)),
    "forward": Call(partial(nk.forward, NETWORK), (PARAMS, X)),
    "fourier_features": Call(partial(nk.fourier_features, jax.random.key(1), P=3), (X,)),
    "gaussian_functions": Call(partial(nk.gaussian_functions, jax.random.key(1), P=3), (GRAM,)),
    "gp_posterior": Call(nk.gp_posterior, (BLOCKS, X)),
    "gradient_flow": Call(partial(nk.gradient_flow, t=0.5), (SPECTRUM, X, 2 * X)),
    "gradient_flow_at": Call(partial(nk.gradient_flow_at, t=0.5), (SPECTRUM, Y @ X.T, Y, X, 2 * X)),
    "init": Call(partial(nk.init, NETWORK, widths=(2, 4, 3, 2)), (jax.random.key(1),)),
    "jacobian_ntk": Call(partial(nk.jacobian_ntk, network), (PARAMS, X, Y), traces_again=True),
    "kernel_descent": Call(partial(nk.kernel_descent, lambda f: (f**2).sum(), learning_rate=0.1, steps=3), (GRAM, X)),
    "kernel_gradient": Call(nk.kernel_gradient, (Y @ X.T, X)),
    "kernel_regression": Call(nk.kernel_regression, (BLOCKS, X)),
    "kernels_by_layer": Call(partial(nk.kernels_by_layer, NETWORK), (X, Y)),
    "linearize": Call(lambda start, x: nk.linearize(network, PARAMS)(start, x), (PARAMS, X)),
    "normalized_ntk": Call(partial(nk.normalized_ntk, depth=4), (COSINES,)),
    "normalized_ntk_by_depth": Call(partial(nk.normalized_ntk_by_depth, depth=4), (COSINES,)),
    "ntk": Call(partial(nk.ntk, NETWORK), (X, Y)),
    "ntk_diagonal": Call(partial(nk.ntk_diagonal, NETWORK), (X,)),
    "quantiles": Call(partial(nk.quantiles, p=jnp.asarray([0.1, 0.5], DTYPE)), (nk.Gaussian(Y, BLOCKS.tt),)),
    "sigma": Call(partial(nk.sigma, NETWORK), (X, Y)),
    "spectrum": Call(nk.spectrum, (GRAM,)),
    "sphere": Call(partial(nk.sphere, n=5, dim=3), (jax.random.key(1),)),
    "square_cost": Call(nk.square_cost, (X, 2 * X)),
    "stereographic": Call(nk.stereographic, (X,)),
    "tangent_kernel": Call(nk.tangent_kernel, (X, Y)),
    "to_sphere": Call(nk.to_sphere, (X,)),
    "train": Call(partial(nk.train, network, steps=3), (PARAMS, X, X), traces_again=True),
    "trained_distribution": Call(nk.trained_distribution, (BLOCKS, BLOCKS, X)),
}

WITHOUT_ARRAYS = {"digits", "hermite_coefficients", "leaky_relu", "limiting_gram", "mnist", "polynomial"}

by_call = pytest.mark.parametrize("name", CALLS)


def fresh(arguments: tuple) -> tuple:
    """Other values of the same shapes."""
    halved = [a if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a / 2 for a in jax.tree.leaves(arguments)]
    return jax.tree.unflatten(jax.tree.structure(arguments), halved)


def test_every_public_function_has_a_row():
    assert set(CALLS) | WITHOUT_ARRAYS == set(PUBLIC_FUNCTIONS)


@by_call
def test_under_jit_and_vmap_it_is_the_loop(name):
    function, arguments, _ = CALLS[name]
    batches = [arguments, fresh(arguments)]
    stacked = jax.tree.map(lambda *a: jnp.stack(a), *batches)
    together = jax.jit(jax.vmap(function))(*stacked)
    for i, batch in enumerate(batches):
        alone = function(*batch)
        assert jax.tree.structure(together) == jax.tree.structure(alone)
        for a, e in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            # Another order of the same few hundred operations.
            assert_close(a[i], e, 64 * EPS, jnp.abs(e).max() + EPS)


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"init", "sphere"}))  # which are given no numbers
def test_gradients_under_jit_and_vmap_are_finite_and_right(name):
    function, arguments, _ = CALLS[name]

    def total(*arguments):
        leaves = jax.tree.leaves(function(*arguments))
        return sum((leaf * jnp.cos(jnp.arange(leaf.size, dtype=DTYPE)).reshape(leaf.shape)).sum() for leaf in leaves)

    inside = jax.tree.map(lambda a: 0.9 * a, arguments)  # cosines away from ±1, where they cannot be moved
    stacked = jax.tree.map(lambda *a: jnp.stack(a), arguments, inside)
    gradients = jax.jit(jax.vmap(jax.grad(total, argnums=tuple(range(len(arguments))))))(*stacked)
    assert all(jnp.isfinite(g).all() for g in jax.tree.leaves(gradients))

    if DTYPE == jnp.float32:
        return  # differences have no digits to compare with
    # Every array is stretched at a rate of its own, which leaves Gram matrices symmetric.
    leaves, structure = jax.tree.flatten(inside)
    directions = [a / (1 + i) for i, a in enumerate(leaves)]

    def stretched(step):
        moved = [a + step * d for a, d in zip(leaves, directions, strict=True)]
        return float(total(*jax.tree.unflatten(structure, moved)))

    changes = [float((g[1] * d).sum()) for g, d in zip(jax.tree.leaves(gradients), directions, strict=True)]
    # Differences over 2e-4 round by ε/2e-4 of the value, and are otherwise good to 1e-9.
    error = (1e-9 + 1e4 * EPS) * (abs(stretched(0)) + sum(map(abs, changes)))
    assert abs(sum(changes) - slope(stretched)) <= error


@by_call
def test_a_second_call_compiles_nothing(name):
    function, arguments, traces_again = CALLS[name]
    others = fresh(arguments)
    function(*arguments)
    EVENTS.clear()
    function(*others)
    assert set(EVENTS) <= ({"jaxpr_trace_duration"} if traces_again else set()), EVENTS


@pytest.mark.parametrize("name", sorted(set(CALLS) - {"sphere"}))  # which is given no numbers
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64] if DTYPE == jnp.float64 else [jnp.float32])
def test_the_dtype_of_the_input_is_that_of_the_output(name, dtype):
    if name == "init":
        values = nk.init(NETWORK, jax.random.key(1), (2, 4, 3, 2), dtype)
    elif name == "linearize":
        start, x = jax.tree.map(lambda a: a.astype(dtype), (PARAMS, X))
        values = nk.linearize(network, start)(start, x)
    else:
        function, arguments, _ = CALLS[name]
        values = function(*jax.tree.map(lambda a: a.astype(dtype), arguments))
    assert {a.dtype for a in jax.tree.leaves(values)} == {jnp.dtype(dtype)}


@pytest.mark.parametrize("name", ["ntk", "sigma", "kernels_by_layer", "empirical_ntk", "empirical_ntk_full"])
def test_a_new_beta_compiles_nothing(name):
    arguments = (PARAMS, X) if name.startswith("empirical") else (X,)
    PUBLIC_FUNCTIONS[name](nk.MLP(3, nk.relu, 0.1), *arguments)
    EVENTS.clear()
    PUBLIC_FUNCTIONS[name](nk.MLP(3, nk.relu, 0.2), *arguments)
    assert not EVENTS


def test_training_compiles_once_per_function():
    nk.train(network, PARAMS, X, X, steps=5)  # which compiles what looks at the end of training
    EVENTS.clear()
    for rate in (0.1, 0.2):
        nk.train(network, PARAMS, X, X, learning_rate=rate, steps=4)
    assert EVENTS.count("backend_compile_duration") == 1
