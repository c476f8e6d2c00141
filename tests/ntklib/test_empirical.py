"""Finite width: the tangent kernel against the Jacobian and against its limit, the tangent model."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import DTYPE, EPS, assert_close, parameters, points, refuses

import ntklib as nk

RELUS = [(nk.relu, (3, 2)), (nk.relu, (3, 8, 1)), (nk.relu, (3, 8, 7, 6, 2))]
NETWORKS = [*RELUS, (nk.erf, (3, 6, 1)), (nk.erf, (3, 6, 7, 3))]

by_network = pytest.mark.parametrize(
    ("activation", "widths"), NETWORKS, ids=lambda v: v.name if isinstance(v, nk.Activation) else str(v)
)


jacobian_ntk = jax.jit(nk.jacobian_ntk, static_argnums=0)


def network(activation: nk.Activation, widths: tuple[int, ...]) -> tuple[nk.MLP, nk.Params]:
    mlp = nk.MLP(len(widths) - 1, activation, 0.3)
    return mlp, parameters(*widths)


@by_network
def test_the_kernel_is_the_product_of_jacobians(activation, widths):
    mlp, params = network(activation, widths)
    x, y, n_L = points(5, 3), points(4, 3, seed=1), widths[-1]
    dense = np.asarray(jacobian_ntk(partial(nk.apply, mlp), params, x, y), float)
    assert dense.shape == (5, 4, n_L, n_L)
    # A derivative is a product of at most 4 layers of sums of 8 terms; the kernel is a sum of a few hundred products.
    error = 64 * EPS
    assert_close(nk.empirical_ntk_full(mlp, params, x, y), dense, error)
    assert_close(nk.empirical_ntk(mlp, params, x, y), np.einsum("nmkk->nm", dense) / n_L, error, np.abs(dense).max())


def test_the_points_of_x_twice_are_the_points_of_x():
    mlp, params = network(nk.erf, (3, 6, 7, 3))
    x = points(5, 3)
    for kernel in (
        partial(nk.empirical_ntk, mlp),
        partial(nk.empirical_ntk_full, mlp),
        partial(jacobian_ntk, partial(nk.apply, mlp)),
    ):
        assert_close(kernel(params, x, x), kernel(params, x), 8 * EPS)


def test_the_jacobian_kernel_of_a_linear_model_in_a_pytree():
    # f_k(x) = Σ_i A_ki x_i + s c_k has Θ_kk'(x, x') = (x·x' + s²) δ_kk' + c_k c_k'.
    params = {"A": points(2, 3, seed=1), "shift": (points(1, 2, seed=2), jnp.asarray(0.7, DTYPE))}

    def f(p, x):
        return x @ p["A"].T + p["shift"][0] * p["shift"][1]

    x, y, c = points(4, 3), points(5, 3, seed=3), np.asarray(params["shift"][0], float)[0]
    expected = (np.asarray(x, float) @ np.asarray(y, float).T + 0.7**2)[:, :, None, None] * np.eye(2) + np.outer(c, c)
    assert_close(jacobian_ntk(f, params, x, y), expected, 8 * EPS)


def test_the_jacobian_kernel_is_the_sum_over_parameters():
    mlp, params = network(nk.erf, (3, 6, 7, 3))
    x, y = points(2, 3), points(3, 3, seed=1)
    grad = jax.jit(jax.grad(lambda p, x, k: nk.apply(mlp, p, x[None])[0, k]))

    def gradient(x, k):
        leaves = jax.tree.leaves(grad(params, x, k))
        return np.concatenate([np.asarray(leaf, float).ravel() for leaf in leaves])

    theta = jacobian_ntk(partial(nk.apply, mlp), params, x, y)
    for i, j, k, m in [(0, 0, 0, 0), (1, 2, 0, 1), (0, 2, 2, 1)]:
        assert_close(theta[i, j, k, m], gradient(x[i], k) @ gradient(y[j], m), 64 * EPS, float(jnp.abs(theta).max()))


@by_network
def test_symmetric_and_positive_semi_definite(activation, widths):
    mlp, params = network(activation, widths)
    theta = np.asarray(nk.empirical_ntk_full(mlp, params, points(6, 3)), float)
    assert_close(theta, theta.transpose(1, 0, 3, 2), 8 * EPS)
    blocks = theta.transpose(0, 2, 1, 3).reshape(6 * widths[-1], -1)
    assert np.linalg.eigvalsh(blocks + blocks.T)[0] > -len(blocks) * 64 * EPS * blocks.max()


def test_depth_one_has_its_limiting_kernel_at_every_initialisation():
    mlp, params = network(nk.relu, (3, 2))
    x, y = points(5, 3), points(4, 3, seed=1)
    limit = np.asarray(nk.ntk(mlp, x, y), float)
    assert_close(nk.empirical_ntk(mlp, params, x, y), limit, 8 * EPS)
    assert_close(nk.empirical_ntk_full(mlp, params, x, y), limit[:, :, None, None] * np.eye(2), 8 * EPS)


def kernels_of_many(activation: nk.Activation, widths: tuple[int, ...], count: int) -> np.ndarray:
    """The kernels of many networks at four points of the circle."""
    kernel = partial(nk.empirical_ntk_full, nk.MLP(len(widths) - 1, activation, 0.1))
    many = jax.jit(jax.vmap(kernel, in_axes=(0, None)))
    return np.asarray(many(parameters(*widths, copies=(count,)), nk.circle(4)), float)


@pytest.mark.parametrize("activation", [nk.relu, nk.erf], ids=lambda a: a.name)
def test_with_one_hidden_layer_the_limit_is_the_mean_at_every_width(activation):
    samples = kernels_of_many(activation, (2, 16, 2), 2000)
    limit = np.asarray(nk.ntk(nk.MLP(2, activation, 0.1), nk.circle(4)), float)[:, :, None, None] * np.eye(2)
    standard_error = samples.std(0) / math.sqrt(len(samples))
    # 64 entries, most of them dependent: 4.5 standard errors are passed by one in 2000 seeds. Where Θ does not vary,
    # roundings count.
    assert (np.abs(samples.mean(0) - limit) <= 4.5 * standard_error + 8 * EPS).all()


@pytest.mark.parametrize("activation", [nk.relu, nk.erf], ids=lambda a: a.name)
def test_the_outputs_have_the_covariance_sigma(activation):
    mlp, x = nk.MLP(2, activation, 0.1), nk.circle(4)
    outputs = jax.jit(jax.vmap(partial(nk.apply, mlp), in_axes=(0, None)))
    f = np.asarray(outputs(parameters(2, 16, 1, copies=(4000,)), x), float)[..., 0]
    products = f[:, :, None] * f[:, None, :]
    standard_error = products.std(0) / math.sqrt(len(f))
    assert (np.abs(products.mean(0) - np.asarray(nk.sigma(mlp, x), float)) <= 4.5 * standard_error).all()


def test_the_kernel_approaches_its_limit_like_one_over_the_root_of_the_width():
    limit = np.asarray(nk.ntk(nk.MLP(3, nk.relu, 0.1), nk.circle(4)), float)
    widths, count = (16, 64, 256), 200
    kernels = [kernels_of_many(nk.relu, (2, n, n, 1), count)[..., 0, 0] for n in widths]
    errors = [np.sqrt(((kernel - limit) ** 2).mean()) for kernel in kernels]
    slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    # A mean square over 200 draws is wrong by √(2/200), its root by half of that, and the slope over log 16 by 0.026:
    # four of these, and as much for the next order, 1/n, at n = 16.
    assert abs(slope + 0.5) < 0.2, (slope, errors)


def test_the_tangent_model_is_the_first_order_expansion():
    mlp, params = network(nk.erf, (3, 6, 7, 3))
    x = points(5, 3)

    f = partial(nk.apply, mlp)
    direction = parameters(3, 6, 7, 3, seed=1)
    g = nk.linearize(f, params)
    assert_close(g(params, x), f(params, x), 4 * EPS)

    def moved(t):
        return jax.tree.map(lambda p, d: p + jnp.asarray(t, DTYPE) * d, params, direction)

    _, derivative = jax.jvp(lambda t: f(moved(t), x), (jnp.zeros((), DTYPE),), (jnp.ones((), DTYPE),))
    for t in (-3.0, 1.0):
        assert_close(g(moved(t), x), f(params, x) + t * derivative, 32 * EPS)
    # It is linear: its kernel is the tangent kernel of f everywhere.
    theta = nk.empirical_ntk_full(mlp, params, x)
    assert_close(jacobian_ntk(g, moved(2.0), x), theta, 64 * EPS)


@pytest.mark.parametrize("function", [nk.empirical_ntk, nk.empirical_ntk_full])
def test_points_that_are_none_are_refused(function):
    mlp, params = network(nk.relu, (3, 8, 1))
    x = points(4, 3)
    with refuses(ValueError, "x", r"shape \(number of points, n_0\)", r"Write x\[:, None\]"):
        function(mlp, params, x[:, 0])
    with refuses(ValueError, "x and y", "points of one dimension", "Write both as"):
        function(mlp, params, x, points(4, 2))
    with refuses(ValueError, "y", "finite", "Remove them"):
        function(mlp, params, x, x * jnp.nan)
    with refuses(TypeError, "x", "hold floating-point numbers", r"Write jnp.asarray\(x, dtype=float\)"):
        function(mlp, params, jnp.ones((4, 3), int))


@pytest.mark.parametrize("shape", [(5,), (), (5, 2, 1), (4, 1)])
def test_functions_that_do_not_return_outputs_are_refused(shape):
    with refuses(ValueError, "f", r"return shape \(N, n_L\) with N = 5", "Write one row per point"):
        nk.jacobian_ntk(lambda p, x: p * jnp.ones(shape, DTYPE), jnp.ones((), DTYPE), points(5, 3))
