"""σ and its duals: closed forms, quadrature, Price's theorem, and the ReLU step to 50 digits."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import dual_by_quadrature, duals_by_quadrature, relu_step
from support import DTYPE, EPS, assert_close, points, refuses

import ntklib as nk
from ntklib.activations import finite_root, relu_correlation_step

ACTIVATIONS = [nk.relu, nk.erf]
GAPS = [0.0, *(10.0**-k for k in range(30, 0, -1)), 0.5, 1.0, 1.5, *(2 - 10.0**-k for k in range(1, 8)), 2.0]

dual = jax.jit(nk.dual, static_argnums=0)
dual_dot = jax.jit(nk.dual_dot, static_argnums=0)
step = jax.jit(relu_correlation_step)
by_activation = pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: a.name)

CLOSED = [nk.relu, nk.leaky_relu(-0.5), nk.identity, nk.erf, nk.gelu, nk.sine, nk.polynomial([0.3, 1.0, -0.5, 0.2])]
by_closed_form = pytest.mark.parametrize("activation", CLOSED, ids=lambda a: a.name.split("(")[0])
POLAR = 16 * EPS if DTYPE == jnp.float32 else 2e-13
"""The polar rule at variances of about 1: rounding in float32, 32 × 64 nodes in float64."""


def array(*values: float) -> jnp.ndarray:
    return jnp.asarray(values, DTYPE)


def test_activations_are_the_functions_they_are_called():
    u = array(-2, -0.5, 0, 0.5, 2)
    assert nk.relu(u).tolist() == [0, 0, 0, 0.5, 2]
    assert_close(nk.erf(u), [math.erf(v) for v in u.tolist()], 4 * EPS)


def test_derivatives_are_the_functions_they_are_called():
    u = array(-2, -0.5, 0, 0.5, 2)
    assert nk.relu.derivative(u).tolist() == [0, 0, 0, 1, 1]
    # exp(−u²) has the condition number 2u² = 8 at u = 2.
    assert_close(nk.erf.derivative(u), 2 / math.sqrt(math.pi) * np.exp(-(np.asarray(u, float) ** 2)), 8 * EPS)


def test_an_activation_of_ones_own_works_without_closed_forms():
    cube = nk.Activation("cube", lambda u: u**3)
    assert cube(array(2)).tolist() == [8] and cube.derivative(array(2)).tolist() == [12]


def test_activations_are_static_under_jit():
    assert jax.jit(lambda a, u: a(u), static_argnums=0)(nk.relu, array(-1, 1)).tolist() == [0, 1]
    assert len({nk.relu, nk.erf, nk.relu}) == 2


@pytest.mark.parametrize("variance", [1e-3, 0.7, 2.0, 300.0])
def test_relu_duals_at_the_angles_known_in_closed_form(variance):
    q, zero, scale = array(variance), array(0), float(array(variance)[0])
    for c, value, value_dot in [(q, scale / 2, 0.5), (zero, scale / (2 * math.pi), 0.25), (-q, 0, 0)]:
        assert_close(dual(nk.relu, q, c, q), [value], 4 * EPS, scale)
        assert_close(dual_dot(nk.relu, q, c, q), [value_dot], 4 * EPS, 1)


@pytest.mark.parametrize("variance", [1e-3, 0.7, 2.0, 30.0])
def test_erf_duals_at_the_angles_known_in_closed_form(variance):
    q, zero, value = array(variance), array(0), float(array(variance)[0])
    # asin and the root lose digits as 2q/(1 + 2q) → 1: condition numbers below 1 + 2q.
    error = 4 * EPS * (1 + 2 * value)
    assert_close(dual(nk.erf, q, q, q), [2 / math.pi * math.asin(2 * value / (1 + 2 * value))], error)
    assert_close(dual_dot(nk.erf, q, q, q), [4 / math.pi / math.sqrt(1 + 4 * value)], error)
    assert dual(nk.erf, q, zero, q).tolist() == [0]
    assert_close(dual_dot(nk.erf, q, zero, q), [4 / math.pi / (1 + 2 * value)], error)


@by_activation
@given(q=st.floats(0.1, 10), r=st.floats(0.1, 10), rho=st.floats(-0.95, 0.95))
def test_duals_are_the_gaussian_expectations(activation, q, r, rho):
    q, r = array(q), array(r)
    c = array(rho) * jnp.sqrt(q * r)
    expected = duals_by_quadrature(activation.name, *(float(v[0]) for v in (q, c, r)))
    # ρ and erf's 2c/√((1 + 2q)(1 + 2r)) round three times; κ0, the arcsine and the root multiply that by less than 6
    # at |ρ| = 0.95 and variance 10. The quadrature is good to 1e-13.
    error = 18 * EPS + 1e-13
    scale = float(jnp.sqrt(q * r)[0]) if activation is nk.relu else 1
    assert_close(dual(activation, q, c, r), [expected[0]], error, scale)
    assert_close(dual_dot(activation, q, c, r), [expected[1]], error, 1 if activation is nk.relu else expected[1])


@by_activation
def test_duals_are_means_over_samples(activation):
    z = jax.random.normal(jax.random.key(3), (2, 400_000), jnp.float32).astype(DTYPE)
    u, v = 1.5 * z[0], 0.4 * z[0] + 0.3 * z[1]
    q, c, r = array(1.5**2), array(1.5 * 0.4), array(0.4**2 + 0.3**2)
    for samples, exact in [
        (activation(u) * activation(v), dual(activation, q, c, r)),
        (activation.derivative(u) * activation.derivative(v), dual_dot(activation, q, c, r)),
    ]:
        samples = np.asarray(samples, float)
        standard_error = samples.std() / math.sqrt(samples.size)
        assert abs(samples.mean() - float(exact[0])) < 4 * standard_error


@by_activation
@pytest.mark.parametrize("derivative", [jax.jacrev, jax.jacfwd])
def test_price_the_derivative_of_the_dual_in_c_is_dual_dot(activation, derivative):
    q, r = array(0.5, 0.5, 1, 1, 2, 2, 3), array(2, 0.5, 1, 1, 2, 2, 0.3)
    c = array(0.3, -0.2, 1, -1, 2, 1.9, 0)  # with ρ = 1 and ρ = −1 among them
    slope = jax.jit(jax.vmap(derivative(lambda c, q, r: dual(activation, q, c, r))))(c, q, r)
    assert_close(slope, dual_dot(activation, q, c, r), 16 * EPS)


@by_activation
@pytest.mark.parametrize("derivative", [jax.jacrev, jax.jacfwd])
def test_derivatives_of_the_duals_are_finite_at_the_ends_and_at_zero(activation, derivative):
    q, c, r = array(1, 1, 0, 0, 0, 2), array(1, -1, 0, 0, 0, 4), array(1, 1, 0, 2, 1e-9, 8)

    def forms(*qcr: jnp.ndarray) -> jnp.ndarray:
        return jnp.stack([dual(activation, *qcr), dual_dot(activation, *qcr)])

    slopes = jax.jit(jax.vmap(derivative(forms, argnums=(0, 1, 2))))(q, c, r)
    assert all(jnp.isfinite(slope).all() for slope in slopes)


def test_the_derivative_of_the_relu_dual_of_a_point_with_itself_is_a_half():
    # E relu² = q/2, and where ρ = 1 all of it comes from c.
    q = array(0.3, 1, 5)
    along = jax.grad(lambda q: dual(nk.relu, q, q, q).sum())(q)
    assert_close(along, [0.5] * 3, 8 * EPS)
    in_q = jax.grad(lambda p: dual(nk.relu, p, q, q).sum())(q)
    assert_close(in_q, [0] * 3, 8 * EPS, 1)


def test_one_relu_step_to_50_digits():
    s = array(*GAPS)
    expected = np.array([relu_step(v) for v in s.tolist()])
    kappa0, gap = step(s)
    # The fits are good to ε; the root, the polynomial and the last product round once each.
    assert_close(kappa0, expected[:, 0], 4 * EPS, 1)
    assert_close(gap, expected[:, 1], 8 * EPS, expected[:, 1] + 1e-300)


def test_the_relu_step_keeps_its_digits_in_small_gaps_where_the_textbook_form_has_none():
    s = array(1e-9)
    rho = 1 - s
    theta = jnp.arccos(rho)
    textbook = 1 - (jnp.sin(theta) + (jnp.pi - theta) * rho) / jnp.pi
    exact = relu_step(float(s[0]))[1]
    assert abs(float(textbook[0]) / exact - 1) > 1e-8
    assert_close(step(s)[1], [exact], 8 * EPS)


@pytest.mark.parametrize("derivative", [jax.jacrev, jax.jacfwd])
def test_the_derivative_of_the_relu_step_is_kappa0(derivative):
    s = array(*GAPS)
    slope = jax.jit(jax.vmap(derivative(lambda s: step(s)[1])))(s)
    assert_close(slope, step(s)[0], 16 * EPS, 1)


@given(st.floats(0, 2, width=32))
def test_the_relu_step_stays_a_correlation_and_brings_points_together(s):
    kappa0, gap = step(array(s))
    assert -EPS <= float(kappa0[0]) <= 1
    assert 0 <= float(gap[0]) <= s * (1 + EPS)


def test_finite_root():
    q = array(0, 4)
    assert finite_root(q).tolist() == [0, 2]
    assert jax.grad(lambda q: finite_root(q).sum())(q).tolist() == [0, 0.25]


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_duals_take_any_shape(rank):
    q = jnp.ones((2,) * rank, DTYPE)
    assert dual(nk.relu, q, q, q).shape == dual_dot(nk.erf, q, q, q).shape == q.shape


@by_activation
def test_duals_are_positive_semi_definite(activation):
    x = points(12, 3, seed=5)
    c = x @ x.T
    q = jnp.broadcast_to(jnp.diag(c)[:, None], c.shape)
    for form in (dual, dual_dot):
        eigenvalues = np.linalg.eigvalsh(np.asarray(form(activation, q, c, q.T), float))
        # dual_dot of ReLU moves by the root of a rounding on the diagonal, unless that is exact, which it is.
        assert eigenvalues[0] > -100 * EPS * eigenvalues[-1]


def covariances() -> tuple[jnp.ndarray, ...]:
    """Variances and covariances, (q, c, r), of 30 pairs, ρ = ±1 and 0 among them."""
    a = np.random.default_rng(7).normal(size=(27, 2, 2)) / 2
    s = a @ a.transpose(0, 2, 1)
    ends = [[1, 1, 1], [1, -1, 1], [1, 0, 0.5]]
    entries = ((0, 0), (0, 1), (1, 1))
    return tuple(jnp.asarray([*s[:, i, j], *np.array(ends)[:, i + j]], DTYPE) for i, j in entries)


@partial(jax.jit, static_argnums=(0, 1))
def slopes(form, activation, q, c, r):
    return jax.vmap(jax.grad(lambda *qcr: form(activation, *qcr), argnums=(0, 1, 2)))(q, c, r)


@by_closed_form
def test_the_polar_rule_gives_the_closed_forms(activation):
    q, c, r = covariances()
    bare = nk.Activation("bare", activation.fn)
    for form in (nk.dual, nk.dual_dot):
        assert_close(form(bare, q, c, r), form(activation, q, c, r), POLAR)


@pytest.mark.parametrize("activation", [nk.relu, nk.gelu], ids=lambda a: a.name)
def test_the_derivatives_of_the_polar_rule_are_those_of_the_closed_forms(activation):
    q, c, r = covariances()
    inside = np.abs(np.asarray(c, float)) < 0.99 * np.sqrt(np.asarray(q * r, float))
    bare = nk.Activation("bare", activation.fn)
    for form in (nk.dual, nk.dual_dot):
        for polar, exact in zip(slopes(form, bare, q, c, r), slopes(form, activation, q, c, r), strict=True):
            assert jnp.isfinite(polar).all()
            # The dual of a jump has slope 1/√(qr − c²): a rounding of c moves it by 1/(1 − ρ²) < 50 of it; twice.
            assert_close(polar[inside], exact[inside], 100 * POLAR, np.abs(np.asarray(exact))[inside] + 1)


@pytest.mark.parametrize(("q", "c", "r"), [(1.0, 0.4, 0.8), (0.3, -0.5, 1.2), (2.0, 1.1, 0.7)])
def test_tanh_by_quadrature(q, c, r):
    at = array(q), array(c), array(r)
    assert_close(nk.dual(nk.tanh, *at), [dual_by_quadrature(math.tanh, q, c, r)], 4 * POLAR + 1e-10, 1)
    expected = dual_by_quadrature(lambda u: 1 / math.cosh(u) ** 2, q, c, r)
    assert_close(nk.dual_dot(nk.tanh, *at), [expected], 4 * POLAR + 1e-10, 1)


def test_price_for_an_activation_with_a_kink_and_no_closed_form():
    # |u| = 2 relu(u) − u has the dual (2/π)√(qr)(√(1 − ρ²) + ρ arcsin ρ), so E[σ̇σ̇] = (2/π) arcsin ρ.
    absolute = nk.Activation("absolute", jnp.abs)
    q, c, r = array(1, 2), array(0.3, -0.7), array(1, 0.5)
    rho = np.asarray(c, float) / np.sqrt(np.asarray(q * r, float))
    assert_close(nk.dual_dot(absolute, q, c, r), 2 / math.pi * np.arcsin(rho), 2 * POLAR, 1)
    slope = jax.vmap(jax.grad(lambda c, q, r: nk.dual_dot(absolute, q, c, r)))(c, q, r)
    assert_close(slope, 2 / math.pi / np.sqrt(np.asarray(q * r - c * c, float)), 8 * POLAR, 1)


def test_leaky_relu_between_relu_and_the_identity():
    u = array(-2, 0, 3)
    assert nk.leaky_relu(0.25)(u).tolist() == [-0.5, 0, 3]
    assert nk.leaky_relu(0.25) is nk.leaky_relu(0.25)
    q, c, r = covariances()
    for slope, same in ((0.0, nk.relu), (1.0, nk.identity)):
        assert_close(nk.dual(nk.leaky_relu(slope), q, c, r), nk.dual(same, q, c, r), 8 * EPS, jnp.sqrt(q * r) + EPS)


@pytest.mark.parametrize("activation", CLOSED[:3], ids=lambda a: a.name.split("(")[0])
def test_homogeneous_activations_step_as_their_duals(activation):
    gain, step = activation.homogeneous
    rho = array(-1, -0.6, 0, 0.3, 1)
    one = jnp.ones_like(rho)
    slope, gap = step(1 - rho)
    assert_close(gain * (1 - gap), nk.dual(activation, one, rho, one), 8 * EPS)
    assert_close(gain * slope, nk.dual_dot(activation, one, rho, one), 8 * EPS)
    assert_close(activation(array(-6, 3)), 3 * activation(array(-2, 1)), 4 * EPS)


def test_polynomials_are_the_same_object_for_the_same_coefficients():
    square = nk.polynomial((0.0, 0.0, 1.0))
    assert square(array(3)).tolist() == [9] and square is nk.polynomial([0.0, 0.0, 1.0])
    # E[u²v²] = qr + 2c² and E[2u 2v] = 4c.
    assert nk.dual(square, array(2), array(1), array(3)).tolist() == [8]
    assert nk.dual_dot(square, array(2), array(1), array(3)).tolist() == [4]


@pytest.mark.parametrize("activation", [nk.relu, nk.tanh, nk.gelu, nk.sine], ids=lambda a: a.name)
def test_hermite_coefficients_give_the_dual(activation):
    a = nk.hermite_coefficients(activation, 40)
    assert a.shape == (41,) and a.dtype == DTYPE
    rho = array(-0.4, 0, 0.4)
    one = jnp.ones_like(rho)
    series = (np.asarray(a, float) ** 2 * np.asarray(rho, float)[:, None] ** np.arange(41)).sum(1)
    # What is left out is below 0.4⁴¹ E[σ²].
    assert_close(series, nk.dual(activation, one, rho, one), 4 * POLAR, 1)


def test_hermite_coefficients_of_relu():
    # a_0 = 1/√(2π), a_1 = 1/2, a_{2k+1} = 0 after that, and Σ a_i² = E relu² = 1/2.
    a = np.asarray(nk.hermite_coefficients(nk.relu, 300), float)
    assert_close(a[:2], [1 / math.sqrt(2 * math.pi), 0.5], 8 * EPS + 1e-12)  # 1400 nodes, good to 1e-12
    assert np.abs(a[3::2]).max() < 64 * EPS + 1e-12
    # a_i² ~ i^{−5/2}/(2π)·√(2/π)…: the rest of the sum is below i^{−3/2}.
    assert 0 < 0.5 - (a**2).sum() < 300**-1.5


def test_bad_variances_are_refused():
    one = array(1, 1)
    for form in (nk.dual, nk.dual_dot):
        with refuses(ValueError, "q, c and r", "one shape", r"Write q, c, r = jnp.broadcast_arrays"):
            form(nk.relu, one, one[0], one)
        for bad in ((-one, one, one), (one, 2 * one, one), (one, jnp.nan * one, one)):
            with refuses(ValueError, "q, c and r", "c² ≤ qr", "Write q and r as the diagonal"):
                form(nk.relu, *bad)
        with refuses(TypeError, "q and c", "one dtype", "Write c.astype"):
            form(nk.relu, one, one.astype("float16"), one)


def test_bad_activations_are_refused():
    for slope in (math.nan, math.inf, "0.1", True):
        with refuses(ValueError, "slope", "finite and real", "Write, for example, slope=0.1"):
            nk.leaky_relu(slope)
    with refuses(ValueError, "coefficients", "at least one number", "Write, for example"):
        nk.polynomial([])
    with refuses(ValueError, "coefficients", "finite and real", "Write, for example"):
        nk.polynomial([1.0, math.nan])
    for degree in (0, 2.5, True):
        with refuses(ValueError, "degree", "an integer from 1 on", "Write, for example, degree=100"):
            nk.hermite_coefficients(nk.relu, degree)
