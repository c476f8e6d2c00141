"""Kernel gradient, flow, descent, costs and training, against sums, loops and matrix exponentials written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.special import log_softmax, softmax
from support import DTYPE, EPS, assert_close, parameters, points, refuses

import ntklib as nk

X = points(6, 3)
Y = points(6, 2, seed=1)
TEST = points(4, 3, seed=5)
START, START_T = points(6, 2, seed=6), points(4, 2, seed=7)


def gaussian_kernel(x, y):
    return jnp.exp(-((x[:, None] - y[None]) ** 2).sum(-1) / 4)


KERNEL, KERNEL_T = gaussian_kernel(X, X), gaussian_kernel(TEST, X)
TWICE = jnp.asarray([0, 1, 2, 0, 1, 3])
SINGULAR, SINGULAR_T = KERNEL[TWICE][:, TWICE], KERNEL_T[:, TWICE]
"""The kernel where the points 3 and 4 are 0 and 1 again."""

by_kernel = pytest.mark.parametrize(
    ("k", "k_t"), [(KERNEL, KERNEL_T), (SINGULAR, SINGULAR_T)], ids=["full", "singular"]
)


def linear(A, x):
    return x @ A


def exact(*arrays):
    return [np.asarray(a, float) for a in arrays]


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


@by_kernel
def test_the_spectrum_is_that_of_the_kernel_over_n(k, k_t):
    spec = nk.spectrum(k)
    assert_close(spec.eigenvalues, np.linalg.eigvalsh(np.asarray(k, float))[::-1] / 6, 16 * EPS)
    assert_close(k @ spec.functions / 6, spec.functions * spec.eigenvalues[None], 32 * EPS)
    assert_close(spec.functions.T @ spec.functions / 6, np.eye(6), 32 * EPS)
    rank = 6 if k is KERNEL else 4
    assert (spec.eigenvalues[:-1] >= spec.eigenvalues[1:]).all()
    assert (spec.eigenvalues[:rank] > 0).all() and (spec.eigenvalues[rank:] == 0).all()


def test_eigenvalues_above_the_rounding_are_kept():
    small = 100 * EPS
    assert_close(nk.spectrum(jnp.diag(jnp.asarray([1, small], DTYPE))).eigenvalues, [0.5, small / 2], 8 * EPS)
    assert (nk.spectrum(jnp.zeros((3, 3), DTYPE)).eigenvalues == 0).all()


@given(seed=st.integers(0, 1000))
def test_eigenfunctions_begin_with_a_positive_value(seed):
    a = points(6, 6, seed)
    for column in np.asarray(nk.spectrum(a @ a.T).functions).T:
        clear = column[np.abs(column) > 0.1 * np.abs(column).max()]
        assert clear[0] > 0


@by_kernel
def test_eigenfunctions_extend_to_other_points(k, k_t):
    spec = nk.spectrum(k)
    kernel, functions, eigenvalues = exact(k_t, spec.functions, spec.eigenvalues)
    for i in range(4):
        assert_close(nk.extend(spec, k, i), functions[:, i], 64 * EPS / eigenvalues[i])
        expected = [sum(kernel[m, j] * functions[j, i] for j in range(6)) / 6 / eigenvalues[i] for m in range(4)]
        assert_close(nk.extend(spec, k_t, i), expected, 16 * EPS / eigenvalues[i])
    all_at_once = jax.vmap(lambda i: nk.extend(spec, k_t, i))(jnp.arange(4))
    assert_close(all_at_once[2], nk.extend(spec, k_t, 2), 16 * EPS)


def flow_of_both(k, k_t, f0, f0_t, y, t):
    """The flow on and off the data by one matrix exponential: ∂f = −K (f − y)/N is linear in (f − y, f_t)."""
    k, k_t, f0, f0_t, y = exact(k, k_t, f0, f0_t, y)
    n, m = len(k), len(k_t)
    generator = np.block([[-k / n, np.zeros((n, m))], [-k_t / n, np.zeros((m, m))]])
    end = expm(t * generator) @ np.concatenate([f0 - y, f0_t])
    return y + end[:n], end[n:]


@by_kernel
@pytest.mark.parametrize("t", [0.0, 1e-8, 0.3, 5.0, 300.0])
def test_the_flow_is_the_matrix_exponential(k, k_t, t):
    spec = nk.spectrum(k)
    on, off = flow_of_both(k, k_t, START, START_T, Y, t)
    # An eigenvalue is known to a few ε λ_1, and e^{−tλ} moves by t times that.
    error = (64 + 16 * t) * EPS
    assert_close(nk.gradient_flow(spec, START, Y, t), on, error)
    # The test points weigh what is learned by the norm of K⁻¹ at most, about 30 here.
    assert_close(nk.gradient_flow_at(spec, k_t, START_T, START, Y, t), off, 30 * error)


@by_kernel
@pytest.mark.parametrize("t", [0.0, 1e-8, 0.3, 5.0, 1e3, 1e30, jnp.inf])
def test_off_the_data_and_on_it_are_one_flow(k, k_t, t):
    spec = nk.spectrum(k)
    at_data = nk.gradient_flow_at(spec, k, START, START, Y, t)
    # A rounding of K in its null space grows with time, until the limit is taken instead.
    assert_close(at_data, nk.gradient_flow(spec, START, Y, t), (1000 + 4 * (t if t < 1e30 else 0)) * EPS)
    assert jnp.isfinite(nk.gradient_flow_at(spec, k_t, START_T, START, Y, t)).all()


@given(
    exponent=st.floats(-30, 30),
    eigenvalue=st.floats(1e-3, 1e3),
)
def test_what_is_learned_is_accurate_at_all_times(exponent, eigenvalue):
    # One point, f_0 = 0, y = 1 and K(x, x_1) = 1: f_t(x) = (1 − e^{−tλ})/λ, and f_t(x_1) = 1 − e^{−tλ}.
    one, zero = jnp.ones((1, 1), DTYPE), jnp.zeros((1, 1), DTYPE)
    t, eigenvalue = jnp.asarray(10.0**exponent, DTYPE), jnp.asarray(eigenvalue, DTYPE)
    learned = nk.gradient_flow_at(nk.spectrum(eigenvalue * one), one, zero, zero, one, t)
    z = float(t) * float(eigenvalue)
    assert_close(learned, [[-np.expm1(-z) / float(eigenvalue)]], 8 * EPS)
    left = nk.gradient_flow(nk.spectrum(eigenvalue * one), one, zero, t)
    # The exponent rounds once, and e^{−z} moves by z times that; below the smallest number it is 0.
    assert_close(left, [[np.exp(-z)]], (8 + 4 * z) * EPS, np.exp(-z) + float(jnp.finfo(DTYPE).tiny))


def test_without_a_kernel_nothing_moves_on_the_data():
    spec = nk.spectrum(jnp.zeros((6, 6), DTYPE))
    for t in (0.0, 1.0, jnp.inf):
        assert_close(nk.gradient_flow(spec, START, Y, t), START, 16 * EPS)
    # φ₁(0) = 1: off the data a kernel that has no part on it grows linearly.
    end = nk.gradient_flow_at(spec, KERNEL_T, START_T, START, Y, 3.0)
    assert_close(end, START_T + 3 * KERNEL_T @ (Y - START) / 6, 64 * EPS)


@given(seed=st.integers(0, 1000), s=st.floats(0, 10), t=st.floats(0, 10), singular=st.booleans())
def test_the_flow_is_a_semigroup(seed, s, t, singular):
    spec, f0, y = nk.spectrum(SINGULAR if singular else KERNEL), points(6, 2, seed), points(6, 2, seed + 1)
    half_way = nk.gradient_flow(spec, f0, y, s)
    # Two flows of O(10) rounded operations each, with exponents up to 20 λ_1.
    assert_close(nk.gradient_flow(spec, half_way, y, t), nk.gradient_flow(spec, f0, y, s + t), 200 * EPS)


@given(seed=st.integers(0, 1000), t=st.floats(0.01, 10), singular=st.booleans())
def test_the_cost_decays_by_the_norm_of_the_kernel_gradient(seed, t, singular):
    # ∂C = −‖d‖²_K with ‖d‖²_K = (1/N²) Σ d_i K_ij d_j.
    k = SINGULAR if singular else KERNEL
    spec, f0, y = nk.spectrum(k), points(6, 2, seed), points(6, 2, seed + 1)
    step = EPS ** (1 / 3)
    before, after = (nk.square_cost(nk.gradient_flow(spec, f0, y, t + h), y) for h in (-step, step))
    kernel, d = exact(k, nk.gradient_flow(spec, f0, y, t) - y)
    expected = -np.einsum("io,ij,jo->", d, kernel, d) / 36
    # The quotient is off by step² C‴/6 and by ε C/step, both of the order ε^{2/3} C.
    cost = float(nk.square_cost(f0, y))
    assert_close((after - before) / (2 * step), expected, 40 * EPS ** (2 / 3), cost)


@given(seed=st.integers(0, 1000), t=st.one_of(st.floats(0, 1e9), st.just(jnp.inf)))
def test_the_null_space_of_the_kernel_does_not_learn(seed, t):
    f0, y = points(6, 2, seed), points(6, 2, seed + 1)
    f = nk.gradient_flow(nk.spectrum(SINGULAR), f0, y, t)
    # The points 3 and 4 are 0 and 1 again.
    assert_close(f[3:5] - f[:2], f0[3:5] - f0[:2], 100 * EPS, 5)


def test_the_flow_ends_at_the_targets_and_off_the_data_at_kernel_regression():
    spec = nk.spectrum(KERNEL)
    kernel, kernel_t, f0, f0_t, y = exact(KERNEL, KERNEL_T, START, START_T, Y)
    expected = f0_t + kernel_t @ np.linalg.solve(kernel, y - f0)
    gaps = []
    for t in (jnp.inf, 1e5, 30.0, 15.0):
        assert_close(
            nk.gradient_flow(spec, START, Y, t), y, max(100 * EPS, np.exp(-t * float(spec.eigenvalues[-1]))), 5
        )
        gaps.append(
            np.abs(np.asarray(nk.gradient_flow_at(spec, KERNEL_T, START_T, START, Y, t), float) - expected).max()
        )
    assert max(gaps[:2]) < 1000 * EPS and 1000 * EPS < gaps[2] < gaps[3]


def test_one_spectrum_serves_all_times():
    spec, times = nk.spectrum(SINGULAR), jnp.asarray([0, 0.5, 7, jnp.inf], DTYPE)
    on = jax.vmap(lambda t: nk.gradient_flow(spec, START, Y, t))(times)
    off = jax.vmap(lambda t: nk.gradient_flow_at(spec, SINGULAR_T, START_T, START, Y, t))(times)
    for i, t in enumerate([0.0, 0.5, 7.0, jnp.inf]):
        assert_close(on[i], nk.gradient_flow(spec, START, Y, t), 16 * EPS)
        assert_close(off[i], nk.gradient_flow_at(spec, SINGULAR_T, START_T, START, Y, t), 16 * EPS)


@by_kernel
def test_the_velocity_of_the_flow_is_the_kernel_gradient(k, k_t):
    spec = nk.spectrum(k)
    for t in (0.0, 1.0, 1e5):
        t = jnp.asarray(t, DTYPE)
        on = jax.jacfwd(lambda t: nk.gradient_flow(spec, START, Y, t))(t)
        off = jax.jacfwd(lambda t: nk.gradient_flow_at(spec, k_t, START_T, START, Y, t))(t)
        d = nk.gradient_flow(spec, START, Y, t) - Y
        assert_close(on, -nk.kernel_gradient(k, d), 64 * EPS, 1)
        assert_close(off, -nk.kernel_gradient(k_t, d), 64 * EPS, 1)


@pytest.mark.parametrize("t", [2.0, jnp.inf])
def test_the_flow_has_derivatives_in_the_kernel(t):
    # Kernel and time enter as their product; at the end of training no scale is left.
    def end(scale):
        return nk.gradient_flow_at(nk.spectrum(scale * KERNEL), scale * KERNEL_T, START_T, START, Y, t)

    by_scale = jax.jacrev(end)(jnp.ones((), DTYPE))
    d = nk.gradient_flow(nk.spectrum(KERNEL), START, Y, t) - Y
    expected = jnp.zeros_like(START_T) if t == jnp.inf else -t * nk.kernel_gradient(KERNEL_T, d)
    # The derivative of (1 − e^{−tλ})/λ is a difference of two terms that are 1/(tλ) < 1000 times as large.
    assert_close(by_scale, expected, 1e4 * EPS, 1)


def test_the_square_cost_is_the_formula():
    f, y = np.asarray(X, float), np.asarray(2 * X + 1, float)
    assert_close(nk.square_cost(X, 2 * X + 1), ((f - y) ** 2).sum() / 12, 8 * EPS)
    assert nk.square_cost(X, X) == 0


def test_the_derivative_of_the_square_cost_is_the_difference():
    # With respect to ⟨·, ·⟩ of the empirical measure, hence N times the gradient.
    assert_close(6 * jax.grad(nk.square_cost)(Y, 3 * Y), -2 * Y, 8 * EPS)


LABELS = jnp.asarray([0, 1, 1, 0, 1, 0])


def test_the_cross_entropy_cost_is_the_formula():
    f = 3 * START
    expected = -log_softmax(np.asarray(f, float), axis=1)[np.arange(6), np.asarray(LABELS)].mean()
    assert_close(nk.cross_entropy_cost(f, LABELS), expected, 8 * EPS)
    assert_close(nk.cross_entropy_cost(f + 100, LABELS.astype("uint8")), expected, 8 * EPS * 100)
    extreme = jnp.asarray([[1e4, -1e4, 0], [0, 1e4, -1e4]], DTYPE)
    assert_close(nk.cross_entropy_cost(extreme, jnp.asarray([1, 1])), 1e4, EPS)


def test_the_derivative_of_the_cross_entropy_cost_is_the_error_of_the_probabilities():
    expected = softmax(np.asarray(START, float), axis=1) - np.eye(2)[np.asarray(LABELS)]
    assert_close(6 * jax.grad(nk.cross_entropy_cost)(START, LABELS), expected, 8 * EPS)


COSTS = {
    "square": lambda f: nk.square_cost(f, Y),
    "cross entropy": lambda f: nk.cross_entropy_cost(f, LABELS),
}
by_cost = pytest.mark.parametrize("cost", COSTS.values(), ids=COSTS)


@by_cost
def test_kernel_descent_is_the_loop_of_kernel_gradients(cost):
    end, costs = nk.kernel_descent(cost, KERNEL, START, learning_rate=0.7, steps=9)
    f = START
    for observed in costs:
        assert_close(observed, cost(f), 64 * EPS)
        f = f - 0.7 * nk.kernel_gradient(KERNEL, 6 * jax.grad(cost)(f))
    assert_close(end, f, 64 * EPS)
    assert costs.shape == (9,) and (costs[1:] < costs[:-1]).all()


@by_cost
def test_small_steps_of_kernel_descent_lower_the_cost_by_the_norm_of_the_gradient(cost):
    rate = EPS**0.5
    costs = nk.kernel_descent(cost, KERNEL, START, learning_rate=rate, steps=2)[1]
    d, kernel = exact(6 * jax.grad(cost)(START), KERNEL)
    expected = -np.einsum("io,ij,jo->", d, kernel, d) / 36
    # ε C/rate of rounding, rate λ_1 of curvature.
    assert_close((costs[1] - costs[0]) / rate, expected, 20 * EPS**0.5)


def test_kernel_descent_of_the_square_cost_is_a_power():
    # f − y = (1 − ηΠ)^s (f_0 − y).
    end = nk.kernel_descent(COSTS["square"], KERNEL, START, learning_rate=0.5, steps=40)[0]
    kernel, f0, y = exact(KERNEL, START, Y)
    expected = y + np.linalg.matrix_power(np.eye(6) - 0.5 * kernel / 6, 40) @ (f0 - y)
    assert_close(end, expected, 200 * EPS)


def test_kernel_descent_tends_to_the_flow_at_order_one():
    flow = nk.gradient_flow(nk.spectrum(KERNEL), START, Y, 4.0)
    gaps = []
    for steps in (32, 64, 128):
        end = nk.kernel_descent(COSTS["square"], KERNEL, START, learning_rate=4 / steps, steps=steps)[0]
        gaps.append(float(jnp.abs(end - flow).max()))
    # Ratios 2 + O(η λ_1), where η λ_1 ≤ 0.07.
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.1) and gaps[1] / gaps[2] == pytest.approx(2, rel=0.05)


def test_kernel_descent_at_several_rates_and_through_jit():
    rates = jnp.asarray([0.1, 0.2], DTYPE)
    ends, costs = jax.vmap(lambda rate: nk.kernel_descent(COSTS["square"], KERNEL, START, learning_rate=rate, steps=5))(
        rates
    )
    alone = nk.kernel_descent(COSTS["square"], KERNEL, START, learning_rate=0.2, steps=5)
    assert_close(ends[1], alone[0], 16 * EPS)
    assert_close(costs[1], alone[1], 16 * EPS)

    # A cost that depends on what is traced.
    def end(y):
        return nk.kernel_descent(lambda f: nk.square_cost(f, y), KERNEL, START, learning_rate=0.2, steps=5)[0]

    assert_close(jax.jit(end)(Y), alone[0], 16 * EPS)
    assert_close(jax.jacfwd(end)(Y)[0, 0, 0, 0], (end(Y.at[0, 0].add(1)) - end(Y))[0, 0], 64 * EPS)


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


def test_kernels_that_are_none_are_refused():
    calls = [nk.spectrum, lambda k: nk.kernel_descent(COSTS["square"], k, START, learning_rate=1.0, steps=1)]
    for call in calls:
        with refuses(ValueError, "k_xx", "square", r"Write K\(x_i, x_j\), \(N, N\)"):
            call(KERNEL_T)
        with refuses(ValueError, "k_xx", "symmetric", "same points in the same order"):
            call(KERNEL.at[0, 1].add(0.01))
        with refuses(ValueError, "k_xx", r"shape \(number of points, N\)", "Write"):
            call(KERNEL[0])
        with refuses(ValueError, "k_xx", "finite", "Remove them"):
            call(KERNEL / 0)
        with refuses(TypeError, "k_xx", "floating-point", "Write jnp.asarray"):
            call(jnp.eye(6, dtype=int))
    with refuses(ValueError, "k_xx", "positive semi-definite", "Write the kernel of one set of points"):
        nk.spectrum(KERNEL - jnp.eye(6, dtype=DTYPE))


def test_rounding_is_no_reason_to_refuse_a_kernel():
    rounded = SINGULAR.at[0, 1].add(4 * EPS) - 4 * EPS * jnp.eye(6, dtype=DTYPE)
    assert (nk.spectrum(rounded).eigenvalues >= 0).all()
    assert (jax.jit(nk.spectrum)(-KERNEL).eigenvalues == 0).all()


def test_eigenfunctions_that_do_not_exist_are_refused():
    spec = nk.spectrum(SINGULAR)
    with refuses(ValueError, "i", "belong to an eigenvalue above 0", "Write i below 4, the number of eigenvalues"):
        nk.extend(spec, KERNEL_T, 4)
    for i in (-1, 6, 1.0, True, "1", jnp.arange(2)):
        with refuses(ValueError, "i", "an integer from 0 to N − 1 = 5", "Write i=0 for the first one"):
            nk.extend(spec, KERNEL_T, i)
    with refuses(ValueError, "spec.functions", "one row per data point, N = 5 as the columns of k_tx", "Write k_tx as"):
        nk.extend(spec, KERNEL_T[:, :5], 0)
    values = jax.vmap(lambda i: nk.extend(spec, KERNEL_T, i))(jnp.arange(6))
    assert jnp.isfinite(values[:4]).all() and jnp.isnan(values[4:]).all()


def flows(f0=START, y=Y, t=1.0):
    """Both flows, to be refused in the same words."""
    spec = nk.spectrum(KERNEL)
    return [
        lambda: nk.gradient_flow(spec, f0, y, t),
        lambda: nk.gradient_flow_at(spec, KERNEL_T, START_T, f0, y, t),
    ]


@pytest.mark.parametrize("t", [-1.0, float("nan"), True, "1", jnp.array(-2.0)])
def test_times_that_are_none_are_refused(t):
    for call in flows(t=t):
        with refuses(ValueError, "t", "a time from 0 on", "Write learning rate times steps, or jnp.inf"):
            call()


def test_flows_that_do_not_fit_are_refused():
    for call in flows(t=jnp.arange(3.0)):
        with refuses(ValueError, "t", "one number", r"Write jax.vmap\(lambda t: …\)\(t\) for several"):
            call()
    for call in flows(y=Y[:, 0]):
        with refuses(ValueError, "y", r"the shape \(N, n_L\) = \(6, 2\)", r"Write y\[:, None\]"):
            call()
    for call in flows(y=Y[:, :1]):
        with refuses(ValueError, "y", r"the shape \(N, n_L\) = \(6, 2\)", "Write one row per point"):
            call()
    for call in flows(f0=START[0]):
        with refuses(ValueError, "f0", r"shape \(number of points, n_L\)", r"Write f0\[:, None\]"):
            call()
    for call in flows(f0=START[:5], y=Y[:5]):
        with refuses(ValueError, "f0", "one row per data point, N = 6", r"as \(points, data points\)"):
            call()
    for call in flows(f0=START.astype("float16")):
        with refuses(TypeError, ".* and f0", "one dtype", "Write f0.astype"):
            call()


def test_starts_off_the_data_that_do_not_fit_are_refused():
    spec = nk.spectrum(KERNEL)
    for f0_t in (0.0, START_T[:, 0], START_T[:, :1], START):
        with refuses(ValueError, "f0_t", r"the shape \(M, n_L\) = \(4, 2\)", r"Write jnp.zeros\(\(4, 2\)\)"):
            nk.gradient_flow_at(spec, KERNEL_T, f0_t, START, Y, 1.0)
    with refuses(ValueError, "f0_t", "finite", "Remove them"):
        nk.gradient_flow_at(spec, KERNEL_T, START_T / 0, START, Y, 1.0)
    with refuses(TypeError, "k_tx and f0_t", "one dtype", "Write f0_t.astype"):
        nk.gradient_flow_at(spec, KERNEL_T, START_T.astype("float16"), START, Y, 1.0)
    with refuses(ValueError, "f0", "one row per data point, N = 5 as the columns of spec.functions", "Write"):
        nk.gradient_flow_at(nk.spectrum(KERNEL[:5, :5]), KERNEL_T, START_T, START, Y, 1.0)


def test_kernel_descents_that_do_not_fit_are_refused():
    def descent(cost=COSTS["square"], f0=START, learning_rate=1.0, steps=1):
        return nk.kernel_descent(cost, KERNEL, f0, learning_rate=learning_rate, steps=steps)

    with refuses(ValueError, "cost", "return one number", "Write a sum or a mean over points"):
        descent(lambda f: f**2)
    with refuses(ValueError, "f0", "one row per data point, N = 6 as the columns of k_xx", "Write k_xx as"):
        descent(f0=START[:5])
    with refuses(ValueError, "steps", "an integer from 1 on", "Write, for example"):
        descent(steps=0)
    with refuses(ValueError, "learning_rate", "a finite number from 0 on", "Write, for example"):
        descent(learning_rate=-1.0)
    with refuses(ValueError, "learning_rate", "one number", "Write jax.vmap"):
        descent(learning_rate=jnp.ones(2))
    with refuses(ValueError, "learning_rate", "below 2 over the largest eigenvalue", "Write a smaller one"):
        descent(learning_rate=1e4, steps=200)


def test_labels_that_are_none_are_refused():
    for labels in (LABELS[:5], LABELS[:, None], LABELS.astype(DTYPE), LABELS > 0):
        with refuses(ValueError, "labels", r"integers of shape \(N,\) = \(6,\)", r"Write jnp.argmax\(y, axis=1\)"):
            nk.cross_entropy_cost(START, labels)
    for labels in (LABELS + 1, LABELS - 1):
        with refuses(ValueError, "labels", "lie in 0, …, n_L − 1 = 1", "Write one column of f per class"):
            nk.cross_entropy_cost(START, labels)
    with refuses(ValueError, "f", r"shape \(number of points, n_L\)", r"Write f\[:, None\]"):
        nk.cross_entropy_cost(START[:, 0], LABELS)
