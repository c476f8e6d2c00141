"""Kernels of deep ReLU networks as functions of the cosine: closed forms, 50 digits, and a million layers.

The sums over layers are compensated, so a value carries the roundings of its first cosine and of one layer: of a
polynomial and a root, which are good to about ε each. That is 4 ε altogether, at every depth.
"""

import math
from functools import cache

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from support import DTYPE, EPS, KERNEL, assert_close, points, refuses, untyped

import ntklib as nk

NEAR = (1e-7, 1e-4, 0.01)
COSINES = (-1, *(a - 1 for a in NEAR), -0.75, -0.1, 0, 1e-3, 0.5, 0.9, *(1 - a for a in NEAR[::-1]), 1)
RHO = jnp.asarray(COSINES, DTYPE)
MILLION = {
    -1: 0.2500056532619834,
    -0.75: 0.25000567508590477,
    0: 0.2500059032623584,
    0.5: 0.25000641489039427,
    0.75: 0.25000723097194627,
    1 - 2**-22: 0.2534133661868033,
    1: 1,
}
"""Kernels of depth 10⁶, from a recursion in θ with a mantissa of 64 bits; it agrees with 40 digits up to depth 10⁴."""

DEEP_FUNCTIONS = (nk.correlations, nk.normalized_ntk, nk.normalized_ntk_by_depth)
FUNCTIONS = {
    "cosine_map": nk.cosine_map,
    "cosine_map_derivative": nk.cosine_map_derivative,
    **{f.__name__: lambda rho, f=f: f(rho, 3) for f in DEEP_FUNCTIONS},
}
by_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
by_deep_function = pytest.mark.parametrize("function", DEEP_FUNCTIONS, ids=lambda f: f.__name__)


def h(z: mp.mpf) -> tuple[mp.mpf, mp.mpf]:
    """The map of definition 5 as it is printed, and its derivative."""
    return (z * mp.asin(z) + mp.sqrt(1 - z * z)) / mp.pi + z / 2, mp.asin(z) / mp.pi + mp.mpf(1) / 2


def recursion(rho: float, depth: int, shift: float = 0) -> list[tuple[mp.mpf, mp.mpf]]:
    """(ρ^(l), Θ̄^(l)) for l = 1, …, L by propositions 2 and 5, from ρ + shift, to 50 digits."""
    with mp.workdps(50):
        z = kernel = mp.mpf(rho) + mp.mpf(shift)
        rows = [(z, kernel)]
        for layer in range(1, depth):
            image, slope = h(z)
            z, kernel = image, (layer * slope * kernel + image) / (layer + 1)
            rows.append((z, kernel))
        return rows


def slopes(function, rho):
    return jax.jit(jax.vmap(jax.grad(function)))(rho)


@cache
def exact(depth: int) -> np.ndarray:
    """ρ^(1..L) and Θ̄^(1..L) at all cosines, (2, L, cosines)."""
    return np.array([recursion(rho, depth) for rho in np.asarray(RHO, float)], float).T


def test_the_cosine_map_at_special_angles():
    theta = np.pi / np.array([1, 2, 3, 4, 6])
    rho = jnp.asarray([-1, 0, 0.5, 2**-0.5, 3**0.5 / 2], DTYPE)
    # Rounding ρ moves θ by up to ε/2 over sin θ.
    assert_close(nk.cosine_map(rho), (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / np.pi, 4 * EPS)
    assert_close(nk.cosine_map_derivative(rho), 1 - theta / np.pi, 4 * EPS)
    assert nk.cosine_map(RHO)[0] == nk.cosine_map_derivative(RHO)[0] == 0
    assert nk.cosine_map(RHO)[-1] == nk.cosine_map_derivative(RHO)[-1] == 1


def test_the_cosine_map_to_50_digits_also_where_it_is_small():
    with mp.workdps(50):
        expected = np.array([h(mp.mpf(rho)) for rho in np.asarray(RHO, float)], float).T
    assert_close(jnp.stack([nk.cosine_map(RHO), nk.cosine_map_derivative(RHO)]), expected, 4 * EPS, expected + 1e-300)


def test_the_derivative_of_the_map_is_cosine_map_derivative():
    # Differentiating the polynomials costs degree² < 500 units of precision.
    assert_close(slopes(nk.cosine_map, RHO), nk.cosine_map_derivative(RHO), 500 * EPS)


def test_correlations_and_kernels_to_50_digits():
    correlations, kernels = exact(300)
    assert_close(nk.correlations(RHO, 300), correlations, 4 * EPS)
    scales = np.maximum(np.abs(kernels), 0.08)  # at depth 2 they cross 0, from 3 on they are larger
    assert_close(nk.normalized_ntk_by_depth(RHO, 300), kernels, 4 * EPS, scales)
    for depth in (1, 2, 3, 300):
        assert_close(nk.normalized_ntk(RHO, depth), kernels[depth - 1], 4 * EPS, scales[depth - 1])


@pytest.mark.parametrize("rho", MILLION)
def test_a_million_layers(rho):
    assert_close(nk.normalized_ntk(jnp.asarray(rho, DTYPE), 10**6), MILLION[rho], 4 * EPS)


def test_the_first_row_is_the_cosine_itself():
    tiny = jnp.asarray([1e-20, -1e-20], DTYPE)
    for function in (nk.correlations, nk.normalized_ntk_by_depth):
        assert (function(tiny, 1) == tiny[None]).all() and (function(tiny, 3)[0] == tiny).all()
    assert (nk.normalized_ntk(tiny, 1) == tiny).all()


def test_theorem_2_with_the_right_rate():
    # L (Θ̄ − 1/4) = (3/8) ln L + constant + O(ln² L / L), with 2e-3 for the last at L = 10⁵. Rate 1/L had slope 0.
    excess = [float(L * (nk.normalized_ntk(jnp.zeros((), DTYPE), L) - 0.25)) for L in (10**5, 10**6)]
    rounding = 10**6 * EPS / 4
    assert (excess[1] - excess[0]) / math.log(10) == pytest.approx(3 / 8, abs=2e-3 + rounding)
    # Orthogonal points become more alike first, up to depth 12.
    assert nk.normalized_ntk_by_depth(jnp.zeros((), DTYPE), 50).argmax() == 12 - 1


def test_the_gap_closes_like_the_inverse_square_of_the_depth():
    # 1 − ρ^(L) = (9π²/2) / (L + (3/2) ln L + C + o(1))², C = 3.390 at ρ = 0; o(1) is about ln L / L < 0.01.
    L = 1000
    gap = 1 - float(nk.correlations(jnp.zeros((), DTYPE), L)[-1])
    assert gap == pytest.approx(4.5 * np.pi**2 / (L + 1.5 * math.log(L) + 3.390) ** 2, rel=1e-4, abs=EPS)


def unit_vectors(n, seed):
    x = np.asarray(points(n, 3, seed), float)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_on_the_sphere_without_bias_it_is_the_limiting_kernel():
    x, y = unit_vectors(6, 0), unit_vectors(5, 1)
    arguments = nk.MLP(7, beta=0.0), jnp.asarray(x, DTYPE), jnp.asarray(y, DTYPE)
    rho, q = jnp.asarray(x @ y.T, DTYPE), 1 / (3 * 2**6)  # Σ^(7)(x, x), and Θ^(7)(x, x) is 7 times that (proposition 1)
    # Both round ρ, by 2 ε, where the slope of Θ̄ is less than 10.
    assert_close(7 * q * nk.normalized_ntk(rho, 7), nk.ntk(*arguments), 10 * KERNEL, 7 * q)
    assert_close(q * nk.correlations(rho, 7)[-1], nk.sigma(*arguments), 10 * KERNEL, q)


def test_the_limiting_gram_matrix():
    assert nk.limiting_gram(5).dtype == DTYPE and nk.limiting_gram(1).tolist() == [[1]]
    limit = np.asarray(nk.limiting_gram(5), float)
    assert_close(np.linalg.eigvalsh(limit), [0.75] * 4 + [2], 1e-15)  # 3/4 and (n + 3)/4
    x = unit_vectors(5, 0)
    rho = np.where(np.eye(5) == 1, 1, x @ x.T)
    difference = np.asarray(nk.normalized_ntk(jnp.asarray(rho, DTYPE), 10**5), float) - limit
    assert (np.diag(difference) == 0).all()
    assert 0 <= difference.min() and difference.max() < 1e-3  # (3/8) ln L / L = 4e-5, and more for small angles


@pytest.mark.parametrize("depth", [2, 300])
def test_derivatives_of_the_kernel_to_50_digits(depth):
    inside, step = RHO[1:-1], 1e-20
    with mp.workdps(50):
        ends = [[recursion(rho, depth, shift)[-1][1] for shift in (step, -step)] for rho in np.asarray(inside, float)]
        expected = np.array([(right - left) / (2 * mp.mpf(step)) for right, left in ends], float)
    last = slopes(lambda rho: nk.normalized_ntk(rho, depth), inside)
    of_all = slopes(lambda rho: nk.normalized_ntk_by_depth(rho, depth)[-1], inside)
    for actual in (last, of_all):
        # As above; the slope of the kernel sums positive and negative terms of size 1 and more.
        assert_close(actual, expected, 500 * EPS, np.abs(expected) + 1)


@by_function
def test_derivatives_are_finite_everywhere(function):
    @jax.jit
    def both(rho):
        values, forward = jax.jvp(function, (rho,), (jnp.ones_like(rho),))
        return forward, jax.vjp(function, rho)[1](jnp.ones_like(values))[0]

    forward, backward = (np.asarray(slope) for slope in both(RHO))
    assert np.isfinite(forward).all() and np.isfinite(backward).all()
    # The sum over layers, where there are layers: of 3 terms, each 3 times through the polynomials.
    assert_close(forward.reshape(-1, len(RHO)).sum(0), backward, 16 * EPS)


def test_neither_code_nor_memory_grow_with_depth():
    def value(depth):
        return lambda rho: nk.normalized_ntk(rho, depth)

    def slope(depth):
        return jax.vmap(jax.grad(value(depth)))

    for function in (value, slope):
        shallow, deep = (jax.jit(function(depth)).lower(RHO) for depth in (100, 10**6))
        assert len(deep.as_text()) - len(shallow.as_text()) < 100
        assert deep.compile().memory_analysis().temp_size_in_bytes < 100 * RHO.nbytes


@by_function
def test_shapes_lists_and_plain_numbers(function):
    row = function(RHO[:6])
    assert (function(RHO[:6].reshape(2, 3)).reshape(row.shape) == row).all()
    with untyped():
        assert_close(function(0.5), function(jnp.asarray(0.5, DTYPE)), EPS)
        assert_close(function([0.5, -0.25]), function(jnp.asarray([0.5, -0.25], DTYPE)), EPS)


@by_function
def test_cosines_that_are_none_are_refused(function):
    for beyond in (1 + EPS, -1 - EPS):
        with refuses(ValueError, "rho", "a cosine, between -1 and 1", r"Write jnp.clip\(rho, -1, 1\)"):
            function(jnp.asarray([0.5, beyond], DTYPE))
    for bad in (jnp.nan, jnp.inf):
        with refuses(ValueError, "rho", "finite", "Remove them"):
            function(jnp.asarray([0.5, bad], DTYPE))
    with refuses(TypeError, "rho", "hold floating-point numbers", r"Write jnp.asarray\(rho, dtype=float\)"):
        function(jnp.asarray([0, 1]))


@by_function
def test_under_jit_what_is_no_cosine_is_nan(function):
    values = jax.jit(function)(jnp.asarray([0.5, 1.5, jnp.nan, -1.5], DTYPE))
    assert (jnp.isnan(values) == jnp.asarray([False, True, True, True]).reshape((1,) * (values.ndim - 1) + (4,))).all()


@by_deep_function
@pytest.mark.parametrize("depth", [0, -1, 2.0, True, "3"])
def test_depths_that_are_none_are_refused(function, depth):
    with refuses(ValueError, "depth", "an integer from 1 on", "Write depth=2 for one hidden layer"):
        function(RHO, depth)


@by_deep_function
def test_a_numpy_depth_is_a_depth(function):
    with untyped():
        assert (function(RHO, np.int64(3)) == function(RHO, 3)).all()


@pytest.mark.parametrize("n", [0, 2.0, True])
def test_numbers_of_points_that_are_none_are_refused(n):
    with refuses(ValueError, "n", "an integer from 1 on", "Write, for example, n=100"):
        nk.limiting_gram(n)
