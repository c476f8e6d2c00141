"""Random functions against their covariance, with standard errors, and the linear model that they make."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import DTYPE, EPS, assert_close, points, refuses

import ntklib as nk

KEY = jax.random.key(3)
X = points(6, 2)
GRAM = X @ X.T + 0.1 * jnp.eye(6, dtype=DTYPE)
DISTANCES = np.linalg.norm(np.asarray(X)[:, None] - np.asarray(X)[None], axis=-1)
P = 40_000
SIGMAS = 5
"""Of 36 entries one is farther than 5 standard errors off once in 50 000 keys."""


def test_gaussian_functions_have_the_covariance_of_the_kernel():
    f = np.asarray(nk.gaussian_functions(KEY, GRAM, P), float)
    k = np.asarray(GRAM, float)
    assert f.shape == (6, P)
    # The variance of f f′ for a Gaussian pair is K(x, x) K(x′, x′) + K(x, x′)².
    variances = np.outer(np.diag(k), np.diag(k)) + k**2
    assert_close(f @ f.T / P, k, SIGMAS, np.sqrt(variances / P))
    assert_close(f.mean(1), np.zeros(6), SIGMAS, np.sqrt(np.diag(k) / P))
    # The fourth moment of a Gaussian is 3 K², that of f⁴ has the variance 96 K⁴.
    assert_close((f**4).mean(1), 3 * np.diag(k) ** 2, SIGMAS, np.sqrt(96 / P) * np.diag(k) ** 2)


def test_gaussian_functions_are_independent():
    f = np.asarray(nk.gaussian_functions(KEY, GRAM, P), float)
    pairs = f[0, 0::2] * f[0, 1::2]
    assert_close(pairs.mean(), 0, SIGMAS, float(GRAM[0, 0]) / np.sqrt(P / 2))


def test_gaussian_functions_of_a_singular_kernel_live_in_its_range():
    gram = X @ X.T  # rank 2: each function is linear
    f = nk.gaussian_functions(KEY, gram, 50)
    through_two_points = X @ jnp.linalg.solve(X[:2], f[:2])
    assert_close(f, through_two_points, 500 * EPS)
    twice = jnp.concatenate([jnp.arange(6), jnp.arange(6)])
    f = nk.gaussian_functions(KEY, GRAM[twice][:, twice], 50)
    assert_close(f[6:], f[:6], 100 * EPS)
    assert (nk.gaussian_functions(KEY, 0 * GRAM, 2) == 0).all()


def test_gaussian_functions_of_the_unit_kernel_are_the_draws_themselves():
    z = jax.random.normal(KEY, (6, 4), jnp.float32).astype(DTYPE)
    assert_close(nk.gaussian_functions(KEY, jnp.eye(6, dtype=DTYPE), 4), z, 16 * EPS)


def test_random_functions_do_not_change_with_the_precision():
    gram = np.asarray(GRAM, np.float32)
    exact = np.asarray(nk.gaussian_functions(KEY, jnp.asarray(gram, DTYPE), 4), float)
    single = nk.gaussian_functions(KEY, jnp.asarray(gram), 4)
    # The root of a matrix moves by the rounding over twice the root of the smallest eigenvalue, 0.1.
    assert_close(single, exact, 1e-5)
    waves = [nk.fourier_features(KEY, X.astype(dtype), 4) for dtype in (jnp.float32, DTYPE)]
    assert_close(*waves, 1e-5)


def test_draws_of_several_keys():
    keys = jax.random.split(KEY, 3)
    together = jax.vmap(lambda key: nk.gaussian_functions(key, GRAM, 4))(keys)
    waves = jax.vmap(lambda key: nk.fourier_features(key, X, 4))(keys)
    for i in range(3):
        assert_close(together[i], nk.gaussian_functions(keys[i], GRAM, 4), 16 * EPS)
        assert_close(waves[i], nk.fourier_features(keys[i], X, 4), 64 * EPS)
    assert not jnp.allclose(together[0], together[1]) and not jnp.allclose(waves[0], waves[1])


@pytest.mark.parametrize("lengthscale", [0.5, 1.0, 2.0])
def test_fourier_features_have_the_gaussian_kernel(lengthscale):
    f = np.asarray(nk.fourier_features(KEY, X, P, lengthscale=lengthscale), float)
    k = np.exp(-(DISTANCES**2) / (2 * lengthscale**2))
    # 2 cos(a) cos(b) has the second moment 1 + k⁴/2.
    assert_close(f @ f.T / P, k, SIGMAS, np.sqrt((1 + k**4 / 2 - k**2) / P))
    assert_close(f.mean(1), np.zeros(6), SIGMAS, np.sqrt(1 / P))
    assert np.abs(f).max() <= np.sqrt(2) * (1 + EPS)


def test_fourier_features_are_functions_of_x_over_the_lengthscale():
    scaled = nk.fourier_features(KEY, 2 * X, 10, lengthscale=jnp.asarray(2, DTYPE))
    assert_close(scaled, nk.fourier_features(KEY, X, 10), 64 * EPS)
    slope = jax.grad(lambda s: nk.fourier_features(KEY, X, 10, lengthscale=s).sum())(jnp.asarray(1, DTYPE))
    assert jnp.isfinite(slope) and slope != 0


def test_the_tangent_kernel_is_the_mean_over_the_functions():
    fx, fy = points(4, 7), points(3, 7, seed=1)
    expected = sum(np.outer(a, b) for a, b in zip(np.asarray(fx).T, np.asarray(fy).T, strict=True)) / 7
    assert_close(nk.tangent_kernel(fx, fy), expected, 8 * EPS)
    assert_close(nk.tangent_kernel(fx), nk.tangent_kernel(fx, fx), EPS)


def test_training_the_linear_model_is_kernel_descent_with_the_tangent_kernel():
    f, y = nk.gaussian_functions(KEY, GRAM, 9), points(6, 1, seed=4)

    def linear(theta, fx):
        return fx @ theta / 3  # √P = 3

    theta, costs = nk.train(linear, points(9, 1, seed=5), f, y, learning_rate=0.2, steps=30)
    descent = nk.kernel_descent(
        lambda g: nk.square_cost(g, y),
        nk.tangent_kernel(f),
        linear(points(9, 1, seed=5), f),
        learning_rate=0.2,
        steps=30,
    )
    # Thirty contractions, each rounding sums of nine terms.
    assert_close(linear(theta, f), descent[0], 500 * EPS)
    assert_close(costs, descent[1], 500 * EPS)


def test_the_law_of_large_numbers():
    # E ‖K̃ − K‖² = ((tr K)² + ‖K‖²)/P, the sum of the variances of the entries.
    k = np.asarray(GRAM, float)
    expected = np.trace(k) ** 2 + (k**2).sum()
    keys = jax.random.split(KEY, 400)
    for n in (10, 1000):
        kernels = jax.vmap(lambda key, n=n: nk.tangent_kernel(nk.gaussian_functions(key, GRAM, n)))(keys)
        errors = ((np.asarray(kernels, float) - k) ** 2).sum((1, 2)) * n
        assert_close(errors.mean(), expected, SIGMAS, errors.std() / 20)


def test_kernels_that_are_none_are_refused():
    with refuses(ValueError, "gram", "square", r"Write K\(x_i, x_j\), \(N, N\)"):
        nk.gaussian_functions(KEY, GRAM[:5], 3)
    with refuses(ValueError, "gram", "symmetric", "Write K.* same points in the same order"):
        nk.gaussian_functions(KEY, GRAM.at[0, 1].add(0.01), 3)
    indefinite = GRAM - jnp.diag(jnp.asarray([0, 0, 0, 0, 0, 3], DTYPE))
    with refuses(ValueError, "gram", "positive semi-definite", "Write the kernel of one set of points"):
        nk.gaussian_functions(KEY, indefinite, 3)
    smallest = np.linalg.eigvalsh(np.asarray(indefinite, float))[0]
    with pytest.raises(ValueError, match=re.escape(f"smallest eigenvalue {smallest:.2e} ")):
        nk.gaussian_functions(KEY, indefinite, 3)
    with refuses(ValueError, "gram", r"shape \(number of points, N\)", "Write"):
        nk.gaussian_functions(KEY, GRAM[0], 3)
    with refuses(ValueError, "gram", "finite", "Remove them"):
        nk.gaussian_functions(KEY, GRAM * jnp.nan, 3)


def test_rounding_is_no_reason_to_refuse():
    rounded = GRAM.at[0, 1].add(4 * EPS) - 0.1 * jnp.eye(6, dtype=DTYPE) * (1 + 4 * EPS)
    assert jnp.isfinite(nk.gaussian_functions(KEY, rounded, 3)).all()
    assert jnp.isfinite(jax.jit(lambda k: nk.gaussian_functions(KEY, k, 3))(-GRAM)).all()


@pytest.mark.parametrize("number", [0, -3, 2.0, True])
def test_numbers_of_functions_that_are_none_are_refused(number):
    with refuses(ValueError, "P", "an integer from 1 on", "Write, for example, P=100"):
        nk.gaussian_functions(KEY, GRAM, number)
    with refuses(ValueError, "P", "an integer from 1 on", "Write, for example, P=100"):
        nk.fourier_features(KEY, X, number)


def test_lengthscales_that_are_none_are_refused():
    with refuses(ValueError, "lengthscale", "above 0", "Write, for example, lengthscale=1.0"):
        nk.fourier_features(KEY, X, 3, lengthscale=0.0)
    with refuses(ValueError, "lengthscale", "a finite number from 0 on", "Write, for example"):
        nk.fourier_features(KEY, X, 3, lengthscale=-1.0)
    with refuses(ValueError, "lengthscale", "one number", r"Write jax.vmap\(lambda lengthscale: …\)"):
        nk.fourier_features(KEY, X, 3, lengthscale=jnp.ones(2, DTYPE))


def test_functions_and_points_that_do_not_fit_are_refused():
    with refuses(ValueError, "x", r"shape \(number of points, n_0\)", r"Write x\[:, None\]"):
        nk.fourier_features(KEY, X[:, 0], 3)
    with refuses(ValueError, "fx and fy", "the same P functions", r"Write both as \(number of points, P\)"):
        nk.tangent_kernel(X, points(3, 4))
    with refuses(TypeError, "fx and fy", "one dtype", r"Write fy.astype\(fx.dtype\)"):
        nk.tangent_kernel(X, X.astype("float16"))
    with refuses(ValueError, "fx", r"shape \(number of points, P\)", r"Write fx\[:, None\]"):
        nk.tangent_kernel(X[:, 0])
