"""Kernel gradient, square cost and training, against sums and loops written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import DTYPE, EPS, assert_close, parameters, points, refuses

import ntklib as nk

X = points(6, 3)
Y = points(6, 2, seed=1)


def linear(A, x):
    return x @ A


def test_the_kernel_gradient_is_the_mean_over_the_data():
    k, d = np.asarray(points(4, 6), float), np.asarray(points(6, 2, seed=3), float)
    expected = np.array([[sum(k[i, j] * d[j, o] for j in range(6)) / 6 for o in range(2)] for i in range(4)])
    assert_close(nk.kernel_gradient(jnp.asarray(k, DTYPE), jnp.asarray(d, DTYPE)), expected, 8 * EPS)


def test_the_kernel_gradient_is_the_velocity_of_gradient_descent():
    # f ↦ f − η ∇_K C is a step of gradient descent, exactly for a linear model: K = x·x′.
    A = points(3, 2, seed=2)
    gradient = jax.grad(lambda A: nk.square_cost(linear(A, X), Y))(A)
    test = points(4, 3, seed=5)
    assert_close(linear(gradient, test), nk.kernel_gradient(test @ X.T, linear(A, X) - Y), 32 * EPS)


def test_the_square_cost_is_the_formula():
    f, y = np.asarray(X, float), np.asarray(2 * X + 1, float)
    assert_close(nk.square_cost(X, 2 * X + 1), ((f - y) ** 2).sum() / 12, 8 * EPS)
    assert nk.square_cost(X, X) == 0


def test_the_derivative_of_the_square_cost_is_the_difference():
    # With respect to ⟨·, ·⟩ of the empirical measure, hence N times the gradient.
    assert_close(6 * jax.grad(nk.square_cost)(Y, 3 * Y), -2 * Y, 8 * EPS)


@pytest.mark.parametrize("activation", [nk.relu, nk.erf], ids=lambda a: a.name)
def test_training_is_the_loop_of_gradient_steps(activation):
    mlp = nk.MLP(3, activation, 0.2)
    start = parameters(3, 5, 4, 2)

    def f(p, x):
        return nk.apply(mlp, p, x)

    end, costs = nk.train(f, start, X, Y, learning_rate=0.5, steps=7)
    step = jax.jit(jax.value_and_grad(lambda p: nk.square_cost(f(p, X), Y)))
    params, expected = start, []
    for _ in range(7):
        cost, gradient = step(params)
        expected.append(float(cost))
        params = jax.tree.map(lambda p, g: p - 0.5 * g, params, gradient)
    # Each step rounds a few sums of 10 terms, and a smooth descent does not amplify that.
    assert_close(costs, expected, 100 * EPS)
    for actual, wanted in zip(jax.tree.leaves(end), jax.tree.leaves(params), strict=True):
        assert_close(actual, wanted, 100 * EPS)
    assert costs[-1] < costs[0]


def test_training_a_linear_model_is_kernel_descent():
    A, k = points(3, 2, seed=2), np.asarray(X @ X.T, float)
    end, outputs = nk.train(linear, A, X, Y, learning_rate=0.3, steps=20, observe=lambda A: linear(A, X))
    f = np.asarray(linear(A, X), float)
    for observed in outputs:
        assert_close(observed, f, 100 * EPS, np.abs(f).max() + 1)
        f = f - 0.3 * k @ (f - np.asarray(Y, float)) / 6
    assert_close(linear(end, X), f, 100 * EPS)


def test_training_changes_nothing_it_is_given():
    A = points(3, 2, seed=2)
    before = np.asarray(A).copy()
    nk.train(linear, A, X, Y, steps=2)
    assert (np.asarray(A) == before).all()


def test_observe_sees_the_parameters_before_every_step():
    def observe(A):
        return {"A": A, "sum": A.sum()}

    A = points(3, 2)
    seen = nk.train(linear, A, X, Y, learning_rate=0.1, steps=3, observe=observe)[1]
    assert seen["A"].shape == (3, 3, 2) and seen["sum"].shape == (3,)
    assert (seen["A"][0] == A).all()
    one_step = nk.train(linear, A, X, Y, learning_rate=0.1, steps=1)[0]
    assert_close(seen["A"][1], one_step, 4 * EPS)


def test_time_is_learning_rate_times_steps():
    # dA/dt = −∂C has the limit η → 0 at fixed ηs: halving η halves the distance to it.
    ends = [nk.train(linear, points(3, 2), X, Y, learning_rate=1 / s, steps=s)[0] for s in (64, 128, 256)]
    first, second = (float(jnp.abs(a - b).max()) for a, b in zip(ends[:-1], ends[1:], strict=True))
    assert first / second == pytest.approx(2, rel=0.1)


def test_any_cost_can_be_trained():
    def absolute(f, y):
        return jnp.abs(f - y).mean()

    end, costs = nk.train(linear, points(3, 2), X, Y, learning_rate=0.01, steps=5, cost=absolute)
    assert_close(costs[0], absolute(linear(points(3, 2), X), Y), 8 * EPS)
    assert costs[-1] < costs[0]
    assert_close(end - points(3, 2), -0.01 * 5 * jax.grad(lambda A: absolute(linear(A, X), Y))(points(3, 2)), 0.3)


def test_a_learning_rate_of_zero_and_one_that_is_an_array():
    assert (nk.train(linear, points(3, 2), X, Y, learning_rate=0.0, steps=2)[0] == points(3, 2)).all()
    rates = jnp.asarray([0.1, 0.2], DTYPE)
    ends = jax.vmap(lambda rate: nk.train(linear, points(3, 2), X, Y, learning_rate=rate, steps=3)[0])(rates)
    assert_close(ends[1], nk.train(linear, points(3, 2), X, Y, learning_rate=0.2, steps=3)[0], 8 * EPS)


def test_kernel_gradients_that_do_not_fit_are_refused():
    k, d = points(4, 6), points(6, 2)
    with refuses(ValueError, "d", "one row per data point, N = 6", r"Write k_tx as \(points, data points\)"):
        nk.kernel_gradient(k, points(4, 2))
    with refuses(ValueError, "d", r"shape \(number of points, n_L\)", r"Write d\[:, None\]"):
        nk.kernel_gradient(k, d[:, 0])
    with refuses(ValueError, "k_tx", r"shape \(number of points, N\)", "Write one row per point"):
        nk.kernel_gradient(k[None], d)
    with refuses(ValueError, "d", "finite", "Remove them"):
        nk.kernel_gradient(k, d * jnp.inf)
    with refuses(TypeError, "k_tx and d", "one dtype", r"Write d.astype\(k_tx.dtype\)"):
        nk.kernel_gradient(k, d.astype("float16"))


def test_targets_that_do_not_fit_are_refused():
    A = points(3, 2)
    calls = [lambda y: nk.square_cost(X[:, :2], y), lambda y: nk.train(linear, A, X, y, steps=1)]
    for call in calls:
        with refuses(ValueError, "y", r"the shape \(N, n_L\) = \(6, 2\)", r"Write y\[:, None\]"):
            call(Y[:, 0])
        with refuses(ValueError, "y", r"the shape \(N, n_L\) = \(6, 2\)", "Write one row per point, one column per"):
            call(Y[:, :1])
        with refuses(ValueError, "y", "finite", "Remove them"):
            call(Y * jnp.nan)
        with refuses(TypeError, "f and y", "one dtype", r"Write y.astype\(f.dtype\)"):
            call(Y.astype(int))


def test_outputs_that_are_none_are_refused():
    with refuses(ValueError, "f", r"shape \(number of points, n_L\)", r"Write f\[:, None\]"):
        nk.square_cost(X[:, 0], Y[:, 0])
    with refuses(ValueError, "f", r"return shape \(N, n_L\) with N = 6", "Write one row per point"):
        nk.train(lambda A, x: (x @ A)[:, 0], points(3, 2), X, Y[:, 0], steps=1)


@pytest.mark.parametrize("steps", [0, -1, 2.0, True])
def test_steps_that_are_no_count_are_refused(steps):
    with refuses(ValueError, "steps", "an integer from 1 on", "Write, for example, steps=100"):
        nk.train(linear, points(3, 2), X, Y, steps=steps)


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf"), True, "1", jnp.array(-1.0)])
def test_learning_rates_that_are_none_are_refused(rate):
    with refuses(ValueError, "learning_rate", "a finite number from 0 on", "Write, for example, learning_rate=0.1"):
        nk.train(linear, points(3, 2), X, Y, learning_rate=rate, steps=1)


def test_a_diverging_learning_rate_is_refused():
    with refuses(ValueError, "learning_rate", "below 2 over the largest eigenvalue", "Write a smaller one"):
        nk.train(linear, points(3, 2), X, Y, learning_rate=1e4, steps=200)


def test_training_points_that_are_none_are_refused():
    with refuses(ValueError, "x", r"shape \(number of points, n_0\)", r"Write x\[:, None\]"):
        nk.train(linear, points(3, 2), X[:, 0], Y, steps=1)
    with refuses(ValueError, "x", "finite", "Remove them"):
        nk.train(linear, points(3, 2), X * jnp.nan, Y, steps=1)
