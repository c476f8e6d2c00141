"""Kernel regression and Gaussian laws: inverses and exponentials in float64, and draws of linearised networks."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.stats import norm
from support import DTYPE, EPS, assert_close, parameters, points, refuses

import ntklib as nk

X, TEST, Y = points(5, 2), points(3, 2, seed=1), points(5, 2, seed=2)


def gaussian_kernel(x, y=None, lengthscale=0.7):
    y = x if y is None else y
    return jnp.exp(-((x[:, None] - y[None]) ** 2).sum(-1) / (2 * lengthscale**2))


THETA, SIGMA = nk.blocks(gaussian_kernel, X, TEST), nk.blocks(partial(gaussian_kernel, lengthscale=0.4), X, TEST)
"""Conditions of 10 and 2: inverses lose one digit at most."""
CONDITION = 10
TWICE = jnp.asarray([0, 1, 2, 0, 1])
SINGULAR = nk.blocks(gaussian_kernel, X[TWICE], TEST)
SINGULAR_SIGMA = nk.blocks(partial(gaussian_kernel, lengthscale=0.4), X[TWICE], TEST)


def exact(k):
    return nk.Blocks(*(np.asarray(a, float) for a in k))


def law(theta, sigma, y, t, ridge):
    """Mean and covariance of f_t in float64, by the inverse or the integral of the matrix exponential."""
    theta, sigma, y = exact(theta), exact(sigma), np.asarray(y, float)
    n = len(y)
    h = theta.xx + ridge * np.eye(n)
    if t == np.inf:
        A = theta.tx @ np.linalg.pinv(h, rcond=1e-6)
    else:
        # The corner of exp of [[−H, 1], [0, 0]] t/N is the integral of e^{−sH/N} over time, divided by N.
        A = theta.tx @ expm(t / n * np.block([[-h, np.eye(n)], [np.zeros((n, 2 * n))]]))[:n, n:]
    return A @ y, sigma.tt - A @ sigma.tx.T - sigma.tx @ A.T + A @ sigma.xx @ A.T


def test_blocks_are_the_kernel_at_all_pairs():
    x, test = np.asarray(X, float), np.asarray(TEST, float)
    for block, (a, b) in zip(THETA, ((x, x), (test, x), (test, test)), strict=True):
        expected = np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * 0.49))
        assert_close(block, expected, 16 * EPS)


def test_blocks_of_a_network():
    kernel = partial(nk.empirical_ntk, nk.MLP(3, nk.relu, 0.1), parameters(2, 4, 4, 1))
    k = nk.blocks(kernel, X, TEST)
    assert (k.xx == kernel(X)).all() and (k.tt == kernel(TEST)).all() and (k.tx == kernel(TEST, X)).all()


@pytest.mark.parametrize("ridge", [0.0, 0.5])
def test_kernel_regression_is_the_formula(ridge):
    k = exact(THETA)
    expected = k.tx @ np.linalg.solve(k.xx + ridge * np.eye(5), np.asarray(Y, float))
    assert_close(nk.kernel_regression(THETA, Y, ridge=ridge), expected, 16 * CONDITION * EPS)


def test_kernel_regression_interpolates():
    at_data = nk.blocks(gaussian_kernel, X, X)
    assert_close(nk.kernel_regression(at_data, Y), Y, 16 * CONDITION * EPS)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_posterior_is_the_conditional_of_the_joint_gaussian(noise):
    # With the precision Λ = C⁻¹ of (y, f_t): cov = Λ_tt⁻¹ and mean = −Λ_tt⁻¹ Λ_ty y, without any Schur complement.
    k, y = exact(THETA), np.asarray(Y, float)
    joint = np.block([[k.xx + noise * np.eye(5), k.tx.T], [k.tx, k.tt]])
    precision = np.linalg.inv(joint)
    cov = np.linalg.inv(precision[5:, 5:])
    posterior = nk.gp_posterior(THETA, Y, noise=noise)
    assert_close(posterior.mean, -cov @ precision[5:, :5] @ y, 16 * CONDITION * EPS)
    assert_close(posterior.cov, cov, 16 * CONDITION * EPS)
    assert (posterior.cov == posterior.cov.T).all()


def test_the_conventions_are_those_of_scikit_learn():
    kernel_ridge = pytest.importorskip("sklearn.kernel_ridge")
    gaussian_process = pytest.importorskip("sklearn.gaussian_process")
    k, y = exact(THETA), np.asarray(Y, float)
    ridge = kernel_ridge.KernelRidge(alpha=0.3, kernel="precomputed").fit(k.xx, y).predict(k.tx)
    assert_close(nk.kernel_regression(THETA, Y, ridge=0.3), ridge, 16 * CONDITION * EPS)
    rbf = gaussian_process.kernels.RBF(0.7)
    process = gaussian_process.GaussianProcessRegressor(rbf, alpha=0.3, optimizer=None).fit(np.asarray(X, float), y)
    mean, cov = process.predict(np.asarray(TEST, float), return_cov=True)
    posterior = nk.gp_posterior(THETA, Y, noise=0.3)
    assert_close(posterior.mean, mean, 16 * CONDITION * EPS)
    assert_close(posterior.cov, cov[:, :, 0], 16 * CONDITION * EPS)


@pytest.mark.parametrize("t", [0.0, 1e-6, 0.5, 30.0, jnp.inf])
@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize(("theta", "sigma"), [(THETA, SIGMA), (SINGULAR, SINGULAR_SIGMA)], ids=["full", "singular"])
def test_the_trained_distribution_is_the_formula(theta, sigma, t, ridge):
    mean, cov = law(theta, sigma, Y, t, ridge)
    for time in (t, jnp.asarray(t, DTYPE)):
        actual = nk.trained_distribution(theta, sigma, Y, t=time, ridge=ridge)
        assert_close(actual.mean, mean, 32 * CONDITION * EPS, np.abs(mean).max() + 1e-30)
        assert_close(actual.cov, cov, 32 * CONDITION * EPS, 1)


def test_without_training_it_is_the_prior():
    start = nk.trained_distribution(THETA, SIGMA, Y, t=0.0)
    assert (start.mean == 0).all() and (start.cov == SIGMA.tt).all()


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_in_the_end_the_mean_is_kernel_regression(ridge):
    end = nk.trained_distribution(THETA, SIGMA, Y, ridge=ridge)
    slow = nk.trained_distribution(jax.tree.map(lambda a: 1e-6 * a, THETA), SIGMA, Y, ridge=1e-6 * ridge)
    assert_close(slow.mean, end.mean, 32 * CONDITION * EPS)
    assert_close(end.mean, nk.kernel_regression(THETA, Y, ridge=ridge), 32 * CONDITION * EPS)
    assert_close(nk.trained_distribution(THETA, SIGMA, Y, t=1e4, ridge=ridge).cov, end.cov, 32 * CONDITION * EPS, 1)


def test_training_the_last_layer_alone_is_bayes():
    # The last layer has the kernel Σ, the covariance of f_0 itself.
    trained, bayes = nk.trained_distribution(SIGMA, SIGMA, Y), nk.gp_posterior(SIGMA, Y)
    assert_close(trained.mean, bayes.mean, 32 * CONDITION * EPS)
    assert_close(trained.cov, bayes.cov, 32 * CONDITION * EPS, 1)
    assert jnp.abs(nk.trained_distribution(THETA, SIGMA, Y).cov - bayes.cov).max() > 0.01


@given(seed=st.integers(0, 1000), t=st.one_of(st.floats(0, 50), st.just(jnp.inf)))
def test_the_mean_is_the_flow_from_zero(seed, t):
    y = points(5, 2, seed)
    flow = nk.gradient_flow_at(nk.spectrum(THETA.xx), THETA.tx, jnp.zeros((3, 2), DTYPE), jnp.zeros_like(y), y, t)
    mean = nk.trained_distribution(THETA, SIGMA, y, t=t).mean
    assert_close(mean, flow, 32 * CONDITION * EPS, jnp.abs(y).max())


@pytest.mark.parametrize("t", [0.3, jnp.inf])
def test_covariances_are_symmetric_with_variances_from_zero_on(t):
    at_data = [nk.blocks(partial(gaussian_kernel, lengthscale=s), X, jnp.concatenate([X, TEST])) for s in (0.7, 0.4)]
    for g in (nk.trained_distribution(*at_data, Y, t=t), nk.gp_posterior(at_data[1], Y)):
        assert (g.cov == g.cov.T).all() and (jnp.diag(g.cov) >= 0).all()
        if t == jnp.inf:
            assert_close(jnp.diag(g.cov)[:5], np.zeros(5), 32 * CONDITION * EPS, 1)
            assert_close(g.mean[:5], Y, 32 * CONDITION * EPS)


def test_the_law_of_trained_linearised_networks():
    # f_θ = ∂f_{θ_0} · (θ − θ_0), its last layer drawn from N(0, 1), all of θ trained: Σ is the last layer's part of Θ.
    mlp, start, draws = nk.MLP(3, nk.erf, 0.5), parameters(2, 8, 8, 1), 3000
    model = nk.linearize(lambda p, x: nk.apply(mlp, p, x), start)
    origin = nk.apply(mlp, start, jnp.concatenate([X, TEST]))

    def centred(theta, x):  # x is the first points, or all
        return model(theta, x) - origin[: len(x)]

    def last_layer(theta, x):
        return nk.apply(mlp, (*start[:-1], theta), x)

    everywhere = jnp.concatenate([X, TEST])
    ntk, covariance = (
        nk.empirical_ntk(mlp, start, everywhere),
        nk.jacobian_ntk(last_layer, start[-1], everywhere)[:, :, 0, 0],
    )
    theta, sigma = (nk.Blocks(k[:5, :5], k[5:, :5], k[5:, 5:]) for k in (ntk, covariance))
    y, rate, steps = Y[:, :1], 0.02 / float(nk.spectrum(theta.xx).eigenvalues[0]), 150

    def trained(layer):
        first = (*start[:-1], nk.Layer(start[-1].W + layer.W, start[-1].b + layer.b))
        return centred(nk.train(centred, first, X, y, learning_rate=rate, steps=steps)[0], everywhere)[5:, 0]

    f = np.asarray(jax.jit(jax.vmap(trained))(parameters(8, 1, copies=(draws,))[0]), float)
    g = nk.trained_distribution(theta, sigma, y, t=rate * steps)
    mean, cov = np.asarray(g.mean[:, 0], float), np.asarray(g.cov, float)
    deviations = np.sqrt(np.diag(cov))
    # Five standard errors; and (1 − ηλ)^s is off e^{−ηsλ} by 0.18 ηλ_1 at most, of the change that training makes.
    bias = 0.18 * 0.02
    changes = np.abs(mean) + np.sqrt(np.diag(sigma.tt)) + deviations
    assert_close((f.mean(0) - mean) / (5 * deviations / np.sqrt(draws) + bias * changes), np.zeros(3), 1, 1)
    errors = np.sqrt((np.outer(np.diag(cov), np.diag(cov)) + cov**2) / draws)
    assert_close((np.cov(f.T) - cov) / (5 * errors + 2 * bias * np.outer(changes, changes)), np.zeros((3, 3)), 1, 1)
    # Neither the untrained nor the fully trained law would pass.
    for other in (nk.trained_distribution(theta, sigma, y, t=0.0), nk.trained_distribution(theta, sigma, y)):
        assert (np.abs(f.mean(0) - np.asarray(other.mean[:, 0])) > 5 * deviations / np.sqrt(draws)).any()


def test_several_times_and_ridges_at_once():
    times = jnp.asarray([0, 0.5, jnp.inf], DTYPE)
    together = jax.vmap(lambda t: nk.trained_distribution(THETA, SIGMA, Y, t=t))(times)
    assert_close(together.cov[1], nk.trained_distribution(THETA, SIGMA, Y, t=0.5).cov, 32 * EPS)
    ridges = jnp.asarray([0.1, 1], DTYPE)
    for function, word in ((nk.kernel_regression, "ridge"), (nk.gp_posterior, "noise")):
        many = jax.vmap(lambda r, f=function, w=word: f(THETA, Y, **{w: r}))(ridges)
        one = function(THETA, Y, **{word: 1.0})
        for a, b in zip(jax.tree.leaves(many), jax.tree.leaves(one), strict=True):
            assert_close(a[1], b, 32 * EPS)


def test_derivatives_in_the_ridge_and_at_the_end_of_training():
    # ∂ of K_tx (K + r)⁻¹ y is −K_tx (K + r)⁻² y.
    k, y = exact(THETA), np.asarray(Y, float)
    inverse = np.linalg.inv(k.xx + 0.5 * np.eye(5))
    half = jnp.asarray(0.5, DTYPE)
    slopes = [
        jax.jacfwd(lambda r: nk.kernel_regression(THETA, Y, ridge=r))(half),
        jax.jacfwd(lambda r: nk.gp_posterior(THETA, Y, noise=r).mean)(half),
        jax.jacfwd(lambda r: nk.trained_distribution(THETA, SIGMA, Y, ridge=r).mean)(half),
    ]
    for slope in slopes:
        assert_close(slope, -k.tx @ inverse @ inverse @ y, 64 * CONDITION * EPS)
    by_y = jax.jacrev(lambda y: nk.trained_distribution(THETA, SIGMA, y).mean)(Y)
    assert_close(by_y[:, 0, :, 0], k.tx @ np.linalg.inv(k.xx), 64 * CONDITION * EPS)


def test_quantiles_are_those_of_the_normal_law():
    g = nk.gp_posterior(THETA, Y)
    p = jnp.asarray([1e-6, 0.1, 0.5, 0.9, 0.975], DTYPE)
    deviations = np.sqrt(np.diag(np.asarray(g.cov, float)))
    expected = np.asarray(g.mean, float) + norm.ppf(np.asarray(p, float))[:, None, None] * deviations[:, None]
    curves = nk.quantiles(g, p)
    assert curves.shape == (5, 3, 2)
    assert_close(curves, expected, 16 * EPS)
    assert_close(curves[2], g.mean, EPS)


@pytest.mark.parametrize(
    ("function", "argument"), [(nk.kernel_regression, "k"), (nk.gp_posterior, "sigma")], ids=["ridge", "noise"]
)
def test_singular_kernels_are_refused_with_a_ridge_to_try(function, argument):
    word = "ridge" if argument == "k" else "noise"
    lucky = SINGULAR._replace(xx=SINGULAR.xx + 2 * EPS * jnp.eye(5, dtype=DTYPE))  # it has a Cholesky factor
    indefinite = THETA._replace(xx=THETA.xx - 0.5 * jnp.eye(5, dtype=DTYPE))
    linear = nk.blocks(lambda x, y=None: x @ (x if y is None else y).T, X, TEST)
    for k in (SINGULAR, lucky, linear, indefinite):
        with refuses(ValueError, rf"{argument}.xx \+ {word}", f"positive definite in {DTYPE}", f"Write {word}="):
            function(k, Y)
        with pytest.raises(ValueError) as caught:
            function(k, Y)
        smallest = np.linalg.eigvalsh(np.asarray(k.xx, float))[0]
        named = float(re.search(r"smallest eigenvalue (\S+) ", str(caught.value))[1])
        assert named == pytest.approx(smallest, rel=0.1, abs=16 * EPS)
        enough = float(re.search(rf"Write {word}=(\S+) ", str(caught.value))[1])
        assert all(jnp.isfinite(a).all() for a in jax.tree.leaves(function(k, Y, **{word: enough})))
        if smallest > -0.01:
            assert 0 < enough < 4 * EPS**0.5 * np.diag(k.xx).max()
        # Under jit nothing can be refused, and nothing false is returned.
        assert all(jnp.isnan(a).any() for a in jax.tree.leaves(jax.jit(function)(k, Y)))


def test_small_kernels_and_kernels_of_many_sizes_are_not_singular():
    scales = 10.0 ** jnp.asarray([-6, -3, 0, 3, 6], DTYPE)
    k = THETA._replace(xx=THETA.xx * scales[:, None] * scales[None], tx=THETA.tx * scales[None])
    expected = exact(THETA).tx @ np.linalg.solve(exact(THETA).xx, np.asarray(Y, float))
    assert_close(nk.kernel_regression(k, Y * scales[:, None]), expected, 16 * CONDITION * EPS)


def calls(theta=THETA, sigma=SIGMA, y=Y):
    """All three with blocks and targets, and what they call the kernel."""
    return [
        ("k", lambda: nk.kernel_regression(theta, y)),
        ("sigma", lambda: nk.gp_posterior(theta, y)),
        ("theta", lambda: nk.trained_distribution(theta, sigma, y)),
    ]


def test_targets_that_do_not_fit_are_refused():
    for _, call in calls(y=Y[:, 0]):
        with refuses(ValueError, "y", r"shape \(number of points, n_L\)", r"Write y\[:, None\]"):
            call()
    for name, call in calls(y=Y[:4]):
        with refuses(ValueError, "y", f"one row per data point, N = 5 as the columns of {name}.tx", "Write"):
            call()
    for _, call in calls(y=Y / 0):
        with refuses(ValueError, "y", "finite", "Remove them"):
            call()
    for name, call in calls(y=Y.astype("float16")):
        with refuses(TypeError, f"{name}.tx and y", "one dtype", rf"Write y.astype\({name}.tx.dtype\)"):
            call()


def test_blocks_that_do_not_fit_are_refused():
    for name, call in calls(theta=THETA._replace(tx=THETA.tx.T)):
        with refuses(
            ValueError, name, r"matrices \(N, N\), \(M, N\) and \(M, M\)", r"Write blocks\(kernel, x, x_test\)"
        ):
            call()
    for name, call in calls(theta=THETA._replace(xx=THETA.tx)):
        with refuses(ValueError, f"{name}.xx", "square", "Write K"):
            call()
    for name, call in calls(theta=THETA._replace(tt=THETA.tt.at[0, 1].add(1))):
        with refuses(ValueError, f"{name}.tt", "symmetric", "Write K"):
            call()
    for name, call in calls(theta=THETA._replace(tx=THETA.tx.astype("float16"))):
        with refuses(TypeError, f"{name}.xx and {name}.tx", "one dtype", "Write"):
            call()
    for name, call in calls(theta=THETA._replace(tt=THETA.tt.astype("float16"))):
        with refuses(TypeError, f"{name}.xx and {name}.tt", "one dtype", "Write"):
            call()


def test_laws_that_do_not_fit_are_refused():
    with refuses(ValueError, "sigma", r"at the points of theta, \(M, N\) = \(3, 5\)", "Write blocks"):
        nk.trained_distribution(THETA, nk.blocks(gaussian_kernel, X, X), Y)
    with refuses(TypeError, "theta and sigma", "one dtype", "Write sigma.astype"):
        nk.trained_distribution(THETA, jax.tree.map(lambda a: a.astype("float16"), SIGMA), Y)
    with refuses(ValueError, "k_xx", "positive semi-definite", "Write the kernel of one set of points"):
        nk.trained_distribution(THETA._replace(xx=THETA.xx - jnp.eye(5, dtype=DTYPE)), SIGMA, Y)
    with refuses(ValueError, "t", "a time from 0 on", "Write learning rate times steps"):
        nk.trained_distribution(THETA, SIGMA, Y, t=-1.0)
    with refuses(ValueError, "t", "one number", "Write jax.vmap"):
        nk.trained_distribution(THETA, SIGMA, Y, t=jnp.ones(2))


def test_ridges_and_noises_that_are_none_are_refused():
    for value in (-0.1, float("nan"), jnp.array(-1.0)):
        with refuses(ValueError, "ridge", "a finite number from 0 on", "Write, for example, ridge=0.1"):
            nk.kernel_regression(THETA, Y, ridge=value)
        with refuses(ValueError, "ridge", "a finite number from 0 on", "Write, for example, ridge=0.1"):
            nk.trained_distribution(THETA, SIGMA, Y, ridge=value)
        with refuses(ValueError, "noise", "a finite number from 0 on", "Write, for example, noise=0.1"):
            nk.gp_posterior(THETA, Y, noise=value)
    with refuses(ValueError, "noise", "one number", "Write jax.vmap"):
        nk.gp_posterior(THETA, Y, noise=jnp.ones(5))


def test_kernels_and_points_that_make_no_blocks_are_refused():
    with refuses(ValueError, "blocks.xx", r"shape \(number of points, N\)", "Write"):
        nk.blocks(lambda x, y=None: jnp.ones((5, 5, 1, 1), DTYPE), X, TEST)
    with refuses(ValueError, "blocks", "matrices", r"Write blocks\(kernel, x, x_test\)"):
        nk.blocks(lambda x, y=None: gaussian_kernel(x if y is None else y, x), X, TEST)
    with refuses(ValueError, "x_test", r"shape \(number of points, n_0\)", r"Write x_test\[:, None\]"):
        nk.blocks(gaussian_kernel, X, TEST[0])
    with refuses(ValueError, "x", "finite", "Remove them"):
        nk.blocks(gaussian_kernel, X / 0, TEST)


def test_quantiles_that_are_none_are_refused():
    g = nk.gp_posterior(THETA, Y)
    for p in (jnp.asarray([0, 0.5]), jnp.asarray([0.5, 1]), jnp.asarray([jnp.nan]), 0.5, jnp.full((1, 1), 0.5)):
        with refuses(
            ValueError, "p", "probabilities strictly between 0 and 1", r"Write, for example, jnp.array\(\[0.1"
        ):
            nk.quantiles(g, p)
    with refuses(ValueError, "g.mean", "one row per data point, N = 3 as the columns of g.cov", "Write"):
        nk.quantiles(g._replace(mean=Y), jnp.asarray([0.5], DTYPE))
    with refuses(ValueError, "g.cov", "square", "Write"):
        nk.quantiles(g._replace(cov=g.cov[:2]), jnp.asarray([0.5], DTYPE))
