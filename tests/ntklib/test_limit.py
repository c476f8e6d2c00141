"""The limiting kernels: closed forms, 50 digits up to depth 100, structure, and derivatives.

float64 keeps 1e-13 and float32 2e-6 of the scale √(Θ(x, x) Θ(x′, x′)) (`KERNEL`), at every depth and angle: the ReLU
recursion loses no digits, and each layer adds a few roundings to a sum that grows like the depth.
"""

import math
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import kernels, slope, textbook_kernels, textbook_ntk
from support import DTYPE, EPS, KERNEL, assert_close, points, refuses

import ntklib as nk
from ntklib import limit

ANGLES = (0, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 1, np.pi / 2, 2, 3, *(np.pi - a for a in (0.01, 1e-4, 1e-6, 0)))
LENGTHS = (1, 0.03, 7)
AWKWARD = [[1, 0], [1, 0], [-1, 0], [3, 0], [0, 0], [0.6, -0.8], [1, 1e-6], [-1, 1e-6], [1e-3, 0]]
"""Duplicates, antipodes, collinear points, a zero vector and neighbours."""
MIXED = jnp.concatenate([points(6, 2), jnp.asarray(AWKWARD, DTYPE)])
"""15 points, as most tests use, so that they share compiled functions; so does depth 4."""
GENERIC = points(15, 2, seed=1)

by_activation = pytest.mark.parametrize("activation", [nk.relu, nk.erf], ids=lambda a: a.name)
by_beta = pytest.mark.parametrize("beta", [0.0, 0.1, 2.0])
by_kernel = pytest.mark.parametrize("kernel", [nk.sigma, nk.ntk])


def at_all_angles() -> tuple[jnp.ndarray, jnp.ndarray]:
    """Points of three lengths at every angle from 1.3 · (0.6, 0.8), and this point."""
    turned = np.arctan2(0.8, 0.6) + np.array(ANGLES)
    x = np.concatenate([length * np.stack([np.cos(turned), np.sin(turned)], axis=1) for length in LENGTHS])
    return jnp.asarray(x, DTYPE), jnp.asarray([[0.78, 1.04]], DTYPE)


def exact(activation: str, x, y, beta: float, depth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Σ and Θ of all layers at all pairs, (2, L, N, M), their scales, and what rounding ρ near −1 must cost.

    Near ρ = −1 the gap 1 − ρ has a spacing of ε, and κ0 has the slope 1/(π sin θ) there.
    """
    beta = float(np.asarray(beta, DTYPE))
    x, y = np.asarray(x, float), np.asarray(y, float)
    q, r = ((z * z).mean(1) + beta**2 for z in (x, y))
    of_x, of_y = (np.array(textbook_kernels(activation, v, v, v, beta, depth)) for v in (q, r))
    scales = np.sqrt(of_x[:, :, :, None] * of_y[:, :, None, :])
    values, unavoidable = np.zeros_like(scales), np.zeros_like(scales)
    for i, j in np.ndindex(len(x), len(y)):
        pair = activation, x[i].tolist(), y[j].tolist(), beta, depth
        values[:, :, i, j] = kernels(*pair)
        if "relu" in activation and values[0, 0, i, j] < -0.99 * scales[0, 0, i, j]:
            shifted = [kernels(*pair, shift) for shift in (-EPS, EPS)]
            unavoidable[:, :, i, j] = np.abs(np.array(shifted) - values[:, :, i, j]).max(0)
    return values, scales, unavoidable


@pytest.mark.parametrize("depth", [1, 4, 100])
def test_proposition_1_the_relu_diagonal(depth):
    x = points(6, 3)
    expected = depth * (np.asarray(x, float) ** 2).sum(1) / (3 * 2.0 ** (depth - 1))
    for diagonal in (nk.ntk_diagonal(nk.MLP(depth, beta=0.0), x), jnp.diag(nk.ntk(nk.MLP(depth, beta=0.0), x))):
        assert_close(diagonal, expected, (4 + depth) * EPS, expected)


@by_activation
@by_kernel
def test_depth_one_is_the_linear_kernel(activation, kernel):
    expected = np.asarray(MIXED, float) @ np.asarray(GENERIC, float).T / 2 + 0.25
    assert_close(kernel(nk.MLP(1, activation, 0.5), MIXED, GENERIC), expected, 8 * EPS)


def test_orthogonal_points_at_depth_two():
    # h(0) = 1/π and κ0 = 1/2: Θ = κ0 Σ/2 + Σ^(2) with Σ = 0.
    theta = nk.ntk(nk.MLP(2, beta=0.0), jnp.eye(2, dtype=DTYPE))
    assert_close(theta, np.array([[1, 1 / (2 * np.pi)], [1 / (2 * np.pi), 1]]) / 2, 4 * EPS)


def test_antipodes_at_depth_two_are_orthogonal_without_bias():
    x = points(20, 7, seed=2)
    theta = nk.ntk(nk.MLP(2, beta=0.0), jnp.concatenate([x, -x]))
    assert_close(jnp.diagonal(theta, 20), np.zeros(20), 4 * EPS, jnp.diag(theta)[:20])


@by_beta
def test_relu_to_50_digits_up_to_depth_100(beta):
    x, y = at_all_angles()
    values, scales, unavoidable = exact("relu", x, y, beta, 100)
    by_layer = nk.kernels_by_layer(nk.MLP(100, nk.relu, beta), x, y)
    tolerance = KERNEL * scales + unavoidable
    assert_close(jnp.stack([by_layer.sigma, by_layer.ntk]), values, 1, tolerance)
    for depth in (2, 100):
        theta = nk.ntk(nk.MLP(depth, nk.relu, beta), x, y)
        assert_close(theta, values[1, depth - 1], 1, tolerance[1, depth - 1])


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_leaky_relu_to_50_digits(beta):
    x, y = at_all_angles()
    values, scales, unavoidable = exact("leaky_relu(0.25)", x[:16], y, beta, 10)
    by_layer = nk.kernels_by_layer(nk.MLP(10, nk.leaky_relu(0.25), beta), x[:16], y)
    assert_close(jnp.stack([by_layer.sigma, by_layer.ntk]), values, 1, KERNEL * scales + unavoidable)


# Without bias the variances are halved by every layer: at depth 300 they are no float32 numbers.
@pytest.mark.parametrize("beta", [0.0, 0.1] if DTYPE == jnp.float64 else [0.1])
def test_relu_to_50_digits_at_depth_300(beta):
    x, y = at_all_angles()
    values, scales, unavoidable = exact("relu", x[:16], y, beta, 300)
    theta = nk.ntk(nk.MLP(300, nk.relu, beta), x[:16], y)
    assert_close(theta, values[1, -1], 1, KERNEL * scales[1, -1] + unavoidable[1, -1])


@by_beta
def test_erf_to_50_digits(beta):
    x, y = at_all_angles()
    values, scales, _ = exact("erf", x, y, beta, 10)
    by_layer = nk.kernels_by_layer(nk.MLP(10, nk.erf, beta), x, y)
    # The arcsine and the root multiply a rounding by up to 1 + 2q at the first layer: q = 7²/2 + β² here.
    error = max(KERNEL, 4 * EPS * (1 + 49 + 2 * beta**2))
    assert_close(jnp.stack([by_layer.sigma, by_layer.ntk]), values, error, scales)


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_relu_in_many_dimensions_to_50_digits(beta):
    x = points(5, 50, seed=3)
    near = x + 1e-5 * points(5, 50, seed=4)
    x = jnp.concatenate([x, near, -near, 100 * near])
    values, scales, unavoidable = exact("relu", x, x[:2], beta, 4)
    theta = nk.ntk(nk.MLP(4, nk.relu, beta), x, x[:2])
    # A product of 50 entries rounds 50 times by ε/2 in the worst case, and moves the angle by less than 1/0.14 of that
    # where it is used.
    assert_close(theta, values[1, -1], 1, KERNEL * scales[1, -1] + unavoidable[1, -1])


@by_activation
@by_beta
def test_symmetric_and_positive_semi_definite(activation, beta):
    for kernel in (nk.ntk, nk.sigma):
        gram = np.asarray(kernel(nk.MLP(4, activation, beta), MIXED), float)
        assert (gram == gram.T).all()
        # Entries wrong by KERNEL × scale move eigenvalues by at most N times that.
        assert np.linalg.eigvalsh(gram)[0] > -len(MIXED) * KERNEL * np.diag(gram).max()


@given(factor=st.floats(1e-3, 1e3), depth=st.sampled_from([1, 4]), seed=st.integers(0, 1000))
def test_without_bias_relu_kernels_are_homogeneous(factor, depth, seed):
    factor, x = np.asarray(factor, DTYPE), points(7, 2, seed)
    theta = nk.ntk(nk.MLP(depth, beta=0.0), jnp.concatenate([x, jnp.asarray(factor) * x, x[:1]]))
    expected = np.asarray(theta[:7, :7], float)
    scale = np.sqrt(np.diag(expected)[:, None] * np.diag(expected))
    assert_close(theta[:7, 7:14], float(factor) * expected, 2 * KERNEL, float(factor) * scale)
    assert_close(theta[7:14, 7:14], float(factor) ** 2 * expected, 2 * KERNEL, float(factor) ** 2 * scale)


@given(st.integers(0, 1000), st.floats(0, 3), st.sampled_from([1, 4]))
def test_theta_is_at_least_sigma_and_at_most_its_diagonal(seed, beta, depth):
    # Θ^(L) is Σ^(L) and damped copies of the Σ^(ℓ) below it.
    x = points(15, 2, seed)
    theta, sigma, diagonal = (f(nk.MLP(depth, nk.relu, beta), x) for f in (nk.ntk, nk.sigma, nk.ntk_diagonal))
    assert (jnp.diag(theta) >= jnp.diag(sigma) * (1 - KERNEL)).all()
    assert (jnp.abs(theta) <= jnp.sqrt(diagonal[:, None] * diagonal[None]) * (1 + KERNEL)).all()


@pytest.mark.parametrize(
    ("activation", "kernel", "y", "size"),
    [
        (nk.relu, nk.ntk, None, 4),
        (nk.relu, nk.ntk, GENERIC[:9], 4),
        (nk.erf, nk.sigma, None, 7),
        (nk.erf, nk.ntk, None, 99),
    ],
    ids=["relu", "relu, other points", "erf", "erf, one block"],
)
def test_blocks_make_the_whole(activation, kernel, y, size):
    mlp = nk.MLP(4, activation, 0.1)
    whole = nk.kernels_by_layer(mlp, MIXED, y)
    expected = whole.ntk[-1] if kernel is nk.ntk else whole.sigma[-1]
    assert_close(kernel(mlp, MIXED, y, block_size=size), expected, 2 * KERNEL)


def test_the_default_blocks_make_the_whole():
    x = jax.device_put(points(1100, 2), jax.devices()[0])  # three blocks of 512
    theta = np.asarray(nk.ntk(nk.MLP(2), x), float)
    assert (theta == theta.T).all()
    x, beta = np.asarray(x, float), float(np.asarray(0.1, DTYPE))
    # The textbook form loses half of float64's digits near the diagonal.
    assert_close(theta, textbook_ntk("relu", x, x, beta, 2), 2 * KERNEL + 3e-8)


def on_the_sphere(n: int, seed: int = 0) -> jnp.ndarray:
    """n points of norm √3, with duplicates, antipodes and neighbours."""
    x = np.random.default_rng(seed).normal(size=(n, 3))
    x[1:4] = x[0], -x[0], x[0] + 1e-4 * x[5]
    return jnp.asarray(3**0.5 * x / np.linalg.norm(x, axis=1, keepdims=True), DTYPE)


def pair_by_pair(kernel, mlp, x, y=None):
    """Under jit no norm is known, and every pair goes through all layers."""
    return jax.jit(kernel)(mlp, x, y)


@by_kernel
@pytest.mark.parametrize(
    ("activation", "depth", "beta"),
    [(nk.relu, 3, 0.0), (nk.relu, 4, 0.1), (nk.relu, 100, 0.0), (nk.relu, 100, 1.0), (nk.gelu, 4, 0.1)],
    ids=lambda v: getattr(v, "name", v),
)
def test_points_of_equal_norm(kernel, activation, depth, beta):
    x, mlp = on_the_sphere(400), nk.MLP(depth, activation, beta)
    expected = pair_by_pair(kernel, mlp, x)
    scale = jnp.diag(expected).max()
    # Norms that are equal but for 8 roundings, and the values to which the series is fitted.
    error = 2 * KERNEL + 8 * EPS
    assert_close(kernel(mlp, x), expected, error, scale)
    assert_close(kernel(mlp, x, x[:300]), expected[:, :300], error, scale)


@pytest.mark.parametrize(("depth", "beta"), [(2, 0.0), (300, 0.0), (4, 0.1)])
def test_points_of_equal_norm_take_the_way_that_is_meant_for_them(depth, beta):
    x = on_the_sphere(400)
    profile = limit._profile_of_equal_norms(nk.MLP(depth, beta=beta), x, None, True)
    underflows = depth == 300 and DTYPE == jnp.float32
    assert (profile is None) == (depth == 2 or underflows)
    if profile is not None:
        assert len(profile.coefficients) <= (24 if DTYPE == jnp.float32 else 88)


def test_points_of_almost_equal_norm_are_not_taken_for_equal():
    x, mlp = on_the_sphere(400), nk.MLP(4, beta=0.0)
    x = x.at[7].multiply(1 + (4e-6 if DTYPE == jnp.float32 else 1e-13))
    assert limit._profile_of_equal_norms(mlp, x, None, True) is None
    assert limit._profile_of_equal_norms(mlp, x[8:], x, True) is None
    assert limit._profile_of_equal_norms(mlp, x[8:], x[8:], True) is not None


@pytest.mark.parametrize("n", [4 * 256, 4 * 256 + 3], ids=["a multiple", "no multiple"])
@pytest.mark.parametrize("prepare", [lambda x: x, on_the_sphere], ids=["general", "equal norms"])
def test_rows_are_spread_over_the_devices(n, prepare):
    devices = jax.devices()
    assert len(devices) == 4
    x = on_the_sphere(n) if prepare is on_the_sphere else points(n, 3)
    alone, mlp = jax.device_put(x, devices[1]), nk.MLP(3)
    for y in (None, 200):
        whole = nk.ntk(mlp, x, x[:y] if y else None)
        expected = nk.ntk(mlp, alone, alone[:y] if y else None)
        assert expected.sharding.device_set == {devices[1]}
        assert whole.sharding.device_set == set(devices)
        if n % 4 == 0:
            assert [shard.data.shape[0] for shard in whole.addressable_shards] == [n // 4] * 4
        # The same tiles of another shape.
        assert_close(whole, expected, 2 * KERNEL)


@pytest.mark.skipif(DTYPE == jnp.float64, reason="once is enough")
def test_the_processes_of_a_cluster_share_the_rows(tmp_path):
    """Two processes of one device each, as on a cluster, and this one."""
    program = tmp_path / "rows.py"
    program.write_text(
        "import sys, jax, numpy as np\n"
        "jax.config.update('jax_platforms', 'cpu')\n"
        "jax.config.update('jax_cpu_collectives_implementation', 'gloo')\n"
        "process, port, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]\n"
        "jax.distributed.initialize(f'127.0.0.1:{port}', num_processes=2, process_id=process)\n"
        "import ntklib as nk\n"
        "x = np.random.default_rng(0).normal(size=(512, 3)).astype(np.float32)\n"
        "(rows,) = nk.ntk(nk.MLP(3), x).addressable_shards\n"
        "np.save(f'{folder}/{process}.npy', rows.data)\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {k: v for k, v in os.environ.items() if k != "JAX_ENABLE_X64"}
    running = [
        subprocess.Popen([sys.executable, program, str(i), str(port), tmp_path], env=environment) for i in (0, 1)
    ]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    shares = [np.load(tmp_path / f"{i}.npy") for i in (0, 1)]
    assert [share.shape for share in shares] == [(256, 512)] * 2
    x = jax.device_put(jnp.asarray(points(512, 3), jnp.float32), jax.devices()[0])
    assert_close(np.concatenate(shares), nk.ntk(nk.MLP(3), x), 4e-6)


@by_activation
@by_beta
def test_the_points_of_x_twice_are_the_points_of_x(activation, beta):
    mlp = nk.MLP(4, activation, beta)
    assert_close(nk.ntk(mlp, MIXED, MIXED), nk.ntk(mlp, MIXED), 2 * KERNEL)


@by_activation
@by_beta
@pytest.mark.parametrize("depth", [1, 4])
def test_the_diagonal_is_ntk_diagonal(activation, beta, depth):
    mlp = nk.MLP(depth, activation, beta)
    diagonal = nk.ntk_diagonal(mlp, MIXED)
    assert diagonal.shape == (15,)
    assert_close(jnp.diag(nk.ntk(mlp, MIXED)), diagonal, (4 + depth) * EPS, diagonal + 1e-30)


@by_activation
@pytest.mark.parametrize(("y", "depth"), [(None, 1), (None, 4), (GENERIC[:9], 4)], ids=["depth 1", "same", "other"])
def test_kernels_by_layer_are_the_recursion(activation, y, depth):
    mlp = nk.MLP(depth, activation, 0.1)
    k = nk.kernels_by_layer(mlp, MIXED, y)
    shape = (15, 15 if y is None else 9)
    assert k.sigma.shape == k.ntk.shape == (depth, *shape) and k.sigma_dot.shape == (depth - 1, *shape)
    assert_close(k.ntk[0], k.sigma[0], EPS)
    assert_close(k.ntk[1:], k.sigma_dot * k.ntk[:-1] + k.sigma[1:], 2 * KERNEL, jnp.abs(k.ntk).max())
    assert_close(k.ntk[-1], nk.ntk(mlp, MIXED, y), 2 * KERNEL)
    assert_close(k.sigma[-1], nk.sigma(mlp, MIXED, y), 2 * KERNEL)


@by_activation
def test_kernels_by_layer_are_the_duals_of_the_layers_before(activation):
    k = nk.kernels_by_layer(nk.MLP(4, activation, 0.3), GENERIC)
    for c, sigma_dot, after in zip(k.sigma[:-1], k.sigma_dot, k.sigma[1:], strict=True):
        q = jnp.broadcast_to(jnp.diag(c)[:, None], c.shape)
        assert_close(after, nk.dual(activation, q, c, q.T) + 0.3**2, 4 * KERNEL)
        # `dual_dot` sees c alone, and a rounding of c moves a small angle by its root.
        assert_close(sigma_dot, nk.dual_dot(activation, q, c, q.T), 4 * math.sqrt(EPS))


@by_activation
@by_beta
def test_the_kernel_is_a_sum_over_layers(activation, beta):
    k = nk.kernels_by_layer(nk.MLP(4, activation, beta), MIXED)
    terms = [k.sigma[layer] * k.sigma_dot[layer:].prod(axis=0) for layer in range(4)]
    assert_close(k.ntk[-1], sum(terms), 2 * KERNEL)


def test_kernels_of_an_activation_without_closed_forms():
    bare, at = nk.Activation("bare", nk.erf.fn), (MIXED[:6], GENERIC[:4])
    for kernel in (nk.sigma, nk.ntk):
        # The polar rule is good to 1e-12 at these variances, and rounds a few times.
        assert_close(kernel(nk.MLP(3, bare, 0.1), *at), kernel(nk.MLP(3, nk.erf, 0.1), *at), KERNEL + 1e-12)
    diagonals = (nk.ntk_diagonal(nk.MLP(3, a, 0.1), MIXED[:6]) for a in (bare, nk.erf))
    assert_close(*diagonals, KERNEL + 1e-12)


def test_kernels_of_an_activation_of_ones_own():
    mine = nk.Activation("mine", nk.relu.fn, nk.relu.dual, nk.relu.dual_dot)
    general, special = (nk.ntk(nk.MLP(4, a, 0.1), MIXED[:6], GENERIC) for a in (mine, nk.relu))
    assert_close(general, special, 4 * math.sqrt(EPS))  # again the angle from c alone


@by_activation
@by_beta
def test_awkward_points_have_finite_kernels(activation, beta):
    for depth in (1, 4):
        mlp = nk.MLP(depth, activation, beta)
        assert all(jnp.isfinite(k).all() for k in jax.tree.leaves(nk.kernels_by_layer(mlp, MIXED)))
        assert jnp.isfinite(nk.ntk(mlp, MIXED)).all() and jnp.isfinite(nk.ntk(mlp, MIXED, GENERIC)).all()


@by_activation
def test_a_zero_vector_without_bias_has_the_kernel_zero(activation):
    zero = (MIXED == 0).all(1)
    theta = nk.ntk(nk.MLP(4, activation, 0.0), MIXED)
    assert (theta[zero] == 0).all() and (jnp.diag(theta)[~zero] > 0).all()


SPREAD = jnp.asarray([0.5 + 0.1 * (np.arange(30) % 7)] * 2, DTYPE).T * nk.circle(30)[jnp.arange(30) * 7 % 30]
"""Every multiple of 12 degrees once, at several lengths."""
DERIVATIVE = 1e-9 + 500 * EPS
"""Differences are good to 1e-9; the fitted polynomials lose degree² < 500 units of precision when differentiated."""


class Derivatives(NamedTuple):
    """Derivatives of Θ(x, x) and Θ(x, y) in (x, y, β): along a direction, and of a weighted sum."""

    forward: Callable
    backward: Callable


@cache
def derivatives(activation: nk.Activation) -> Derivatives:
    def both(x, y, beta):
        mlp = nk.MLP(4, activation, beta)
        return nk.ntk(mlp, x), nk.ntk(mlp, x, y)

    return Derivatives(
        jax.jit(lambda at, direction: jax.jvp(both, at, direction)[1]),
        jax.jit(lambda at, weights: jax.vjp(both, *at)[1](weights)),
    )


@by_activation
@pytest.mark.parametrize("beta", [0.0, 0.1])
@pytest.mark.parametrize("y", [MIXED, -MIXED], ids=["same points", "antipodes"])
def test_derivatives_are_finite_everywhere(activation, beta, y):
    at = MIXED, y, jnp.asarray(beta, DTYPE)
    forward = derivatives(activation).forward(at, jax.tree.map(jnp.cos, at))
    backward = derivatives(activation).backward(at, (jnp.ones((15, 15), DTYPE),) * 2)
    # One NaN in a derivative is a NaN in these sums.
    assert all(jnp.isfinite(slope).all() for slope in jax.tree.leaves((forward, backward)))


@by_activation
def test_derivatives_are_right_at_generic_points(activation):
    # Angles of 12 degrees and more, so that the differences may be trusted: they are good to 1e-9.
    at = SPREAD[0::2], SPREAD[1::2], jnp.asarray(0.3, DTYPE)
    direction = points(15, 2, seed=3), points(15, 2, seed=4), jnp.asarray(0.7, DTYPE)
    weights = points(15, 15, seed=5), points(15, 15, seed=6)

    def theta(step):
        x, y, beta = (np.asarray(a, float) + step * np.asarray(d, float) for a, d in zip(at, direction, strict=True))
        return np.stack([textbook_ntk(activation.name, x, z, beta, 4) for z in (x, y)])

    forward = np.asarray(derivatives(activation).forward(at, direction), float)
    # The textbook form has no digits on the diagonal, which has its own test.
    mask = np.stack([1 - np.eye(15), np.ones((15, 15))])
    assert_close(forward * mask, slope(theta) * mask, DERIVATIVE)
    backward = derivatives(activation).backward(at, weights)
    along = sum(np.vdot(np.asarray(b, float), np.asarray(d, float)) for b, d in zip(backward, direction, strict=True))
    assert_close(along, (np.asarray(weights) * forward).sum(), DERIVATIVE, np.abs(np.asarray(weights) * forward).sum())


@by_activation
def test_the_derivative_of_the_diagonal(activation):
    x = SPREAD[0::2]
    at, direction = (x, GENERIC, jnp.asarray(0.3, DTYPE)), (x, 0 * GENERIC, jnp.asarray(0.0, DTYPE))
    forward = jnp.diag(derivatives(activation).forward(at, direction)[0])

    def diagonal(step):
        q = (1 + step) ** 2 * (np.asarray(x, float) ** 2).mean(1) + float(at[2]) ** 2
        return textbook_kernels(activation.name, q, q, q, float(at[2]), 4)[1][-1]

    assert_close(forward, slope(diagonal), DERIVATIVE)


def test_the_derivative_of_a_smooth_kernel_at_a_zero_vector():
    # Σ^(1) = x·x′/2 has the derivative x′/2 at x = 0, and Θ^(2) = (2 Σ̇) Σ^(1) + … that times 2 Σ̇.
    y = jnp.asarray([[1, 2]], DTYPE)

    @jax.jit
    @jax.jacrev
    def slopes(x):
        return [nk.ntk(nk.MLP(depth, nk.erf, 0.0), x, y)[0, 0] for depth in (1, 2)]

    first, second = slopes(jnp.zeros((1, 2), DTYPE))
    assert_close(first, [[0.5, 1]], 4 * EPS)
    assert_close(second, 2 * 4 / math.pi / math.sqrt(1 + 2 * 2.5) * np.array([[0.5, 1]]), 8 * EPS)


@by_activation
def test_vmap_over_beta(activation):
    betas = jnp.asarray([0, 0.1, 2], DTYPE)
    together = jax.vmap(lambda mlp: nk.ntk(mlp, MIXED))(nk.MLP(4, activation, betas))
    for theta, beta in zip(together, [0.0, 0.1, 2.0], strict=True):
        assert_close(theta, nk.ntk(nk.MLP(4, activation, beta), MIXED), 2 * KERNEL)


@pytest.mark.parametrize("function", [nk.ntk, nk.sigma, nk.kernels_by_layer, nk.ntk_diagonal])
def test_points_that_are_none_are_refused(function):
    mlp, call = nk.MLP(2), function
    with refuses(ValueError, "x", r"shape \(number of points, n_0\)", r"Write x\[:, None\] for points of one"):
        call(mlp, jnp.ones(3, DTYPE))
    with refuses(ValueError, "x", r"shape \(number of points, n_0\)", "Write one row per point"):
        call(mlp, jnp.ones((3, 2, 1), DTYPE))
    with refuses(ValueError, "x", "hold at least one point", "Write one row per point"):
        call(mlp, jnp.ones((0, 2), DTYPE))
    with refuses(ValueError, "x", "finite", "Remove them or replace them"):
        call(mlp, jnp.asarray([[1, np.nan]], DTYPE))
    with refuses(TypeError, "x", "hold floating-point numbers", r"Write jnp.asarray\(x, dtype=float\)"):
        call(mlp, jnp.ones((3, 2), int))


@pytest.mark.parametrize("function", [nk.ntk, nk.sigma, nk.kernels_by_layer])
def test_pairs_that_do_not_fit_are_refused(function):
    mlp, x = nk.MLP(2), points(3, 2)
    with refuses(ValueError, "x and y", "points of one dimension", r"Write both as \(number of points, n_0\)"):
        function(mlp, x, points(3, 4))
    with refuses(TypeError, "x and y", "one dtype", r"Write y.astype\(x.dtype\)"):
        function(mlp, x, x.astype("float16"))
    with refuses(ValueError, "y", r"shape \(number of points, n_0\)", r"Write y\[:, None\]"):
        function(mlp, x, x[:, 0])
    with refuses(ValueError, "y", "finite", "Remove them"):
        function(mlp, x, x / 0)


@by_kernel
@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_block_sizes_that_are_none_are_refused(kernel, size):
    with refuses(ValueError, "block_size", "an integer from 1 on", "Write, for example, block_size=100"):
        kernel(nk.MLP(2), points(3, 2), block_size=size)


def test_shapes_are_checked_under_jit_and_values_are_not():
    mlp = nk.MLP(2)
    with refuses(ValueError, "x", r"shape \(number of points, n_0\)", r"Write x\[:, None\]"):
        jax.jit(lambda x: nk.ntk(mlp, x))(jnp.ones(3, DTYPE))
    assert jnp.isnan(jax.jit(lambda x: nk.ntk(mlp, x))(jnp.full((1, 2), jnp.nan, DTYPE))).all()
