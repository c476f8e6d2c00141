r"""Dynamics in function space and in parameter space: kernel gradient, gradient flow and descent, costs.

Costs are those of the empirical measure of N points, $C(f) = \frac{1}{2N} \sum_i \|f(x_i) - y_i\|^2$;
time is learning rate times steps.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PyTree

from ntklib import _checks

Cost = Callable[[Array, Array], Array]


def kernel_gradient(k_tx: Float[Array, "M N"], d: Float[Array, "N nL"]) -> Float[Array, "M nL"]:
    r"""Kernel gradient of a cost, $\nabla_K C|_f(x) = \frac{1}{N} \sum_j K(x, x_j)\, d|_f(x_j)$, also off the data.

    Args:
        k_tx: $K(x, x_j)$ at M points x and the N data points, (M, N).
        d: $d|_f(x_j)$, the derivative of C with respect to $\langle\cdot,\cdot\rangle_{p^{in}}$, (N, n_L);
            for $\frac12\|f - f^*\|^2$ it is $f - f^*$.

    Returns:
        The gradient at the M points, (M, n_L).

    Raises:
        ValueError: If the shapes do not fit or values are not finite.
        TypeError: If dtypes differ or are not floating.

    Source: Guide I.3.11-I.3.12 · JGH §3.

    >>> kernel_gradient(jnp.eye(2), jnp.array([[2.0], [4.0]])).tolist()
    [[1.0], [2.0]]
    """
    k_tx, d = _checks.rows(k_tx, "k_tx", "N"), _checks.rows(d, "d", "n_L")
    _checks.data_points(k_tx, d, "k_tx", "d")
    return k_tx @ d / d.shape[0]


class Spectrum(NamedTuple):
    r"""Eigenvalues $\lambda_i$ of $\Pi = K/N$, descending, and eigenfunctions $f^{(i)}(x_j)$ in columns."""

    eigenvalues: Float[Array, " N"]
    functions: Float[Array, "N N"]


def spectrum(k_xx: Float[Array, "N N"]) -> Spectrum:
    r"""Eigenvalues and eigenfunctions of $\Pi f = \frac1N K f$, the kernel principal components (not centred).

    Args:
        k_xx: $K(x_i, x_j)$ at the N data points, (N, N).

    Returns:
        `Spectrum(eigenvalues, functions)`: $\lambda_1 \ge \lambda_2 \ge …$, (N,), those that rounding hides exactly 0;
        and $f^{(i)}(x_j)$ in column i, (N, N), with $\frac1N \sum_j f^{(i)}(x_j)^2 = 1$ and the first entry above
        a tenth of the largest positive. Functions of one eigenvalue are any orthonormal basis, and derivatives
        need distinct eigenvalues.

    Raises:
        ValueError: If k_xx is not square, symmetric, positive semi-definite and finite.
            Under `jit` only shapes are checked, and every negative eigenvalue counts as 0.
        TypeError: If k_xx is not floating.

    Source: Guide IV.2.3-IV.2.4 · JGH §5 · depth paper Remark 1.

    >>> spectrum(jnp.diag(jnp.array([2.0, 6.0]))).eigenvalues.tolist()
    [3.0, 1.0]
    """
    k_xx = _checks.gram(k_xx, "k_xx")
    spec, smallest_and_largest = _spectrum(k_xx)
    _checks.semi_definite(smallest_and_largest, "k_xx")
    return spec


def extend(spec: Spectrum, k_tx: Float[Array, "M N"], i: int | Array) -> Float[Array, " M"]:
    r"""An eigenfunction off the data, $f^{(i)}(x) = \frac{1}{\lambda_i N} \sum_j K(x, x_j) f^{(i)}(x_j)$.

    Args:
        spec: From `spectrum`.
        k_tx: $K(x, x_j)$ at M points x and the N data points, (M, N).
        i: Which one, from 0 on; the largest eigenvalue comes first.

    Returns:
        The values at the M points, (M,); NaN under `jit` where $\lambda_i = 0$.

    Raises:
        ValueError: If the shapes do not fit, values are not finite, i is no integer from 0 to N - 1,
            or $\lambda_i$ is 0 up to rounding.
        TypeError: If dtypes differ or are not floating.

    Source: Guide IV.2.4 · JGH §5.

    >>> extend(spectrum(jnp.diag(jnp.array([2.0, 6.0]))), jnp.array([[0.0, 3.0]]), 1).tolist()
    [0.0]
    """
    k_tx = _checks.rows(k_tx, "k_tx", "N")
    _checks.data_points(k_tx, spec.functions, "k_tx", "spec.functions")
    n = len(spec.eigenvalues)
    if _checks.is_concrete(i):
        number = np.asarray(i)
        if number.ndim or not np.issubdtype(number.dtype, np.integer) or not 0 <= number < n:
            got = f"shape {number.shape}" if number.ndim else repr(number.item())
            raise ValueError(f"i must be an integer from 0 to N − 1 = {n - 1}: got {got}. Write i=0 for the first one.")
        if _checks.is_concrete(spec.eigenvalues) and number >= (rank := int((np.asarray(spec.eigenvalues) > 0).sum())):
            raise ValueError(
                f"i must belong to an eigenvalue above 0: got i = {number}, whose eigenvalue is 0 up to rounding. "
                f"Write i below {rank}, the number of eigenvalues above 0."
            )
    return _extend(spec, k_tx, i)


def gradient_flow(
    spec: Spectrum, f0: Float[Array, "N nL"], y: Float[Array, "N nL"], t: float | Array
) -> Float[Array, "N nL"]:
    r"""Gradient flow of the square cost on the data, $f_t = y + e^{-t\Pi} (f_0 - y)$.

    Args:
        spec: The kernel's eigenvalues and eigenfunctions, from `spectrum`; one serves every t.
        f0: $f_0(x_j)$, (N, n_L).
        y: Targets, (N, n_L).
        t: Time, learning rate times steps, one number from 0 on or `jnp.inf`; `jax.vmap` over several.

    Returns:
        $f_t(x_j)$, (N, n_L). The part of $f_0 - y$ in the null space of $\Pi$ stays, also for t = ∞.

    Raises:
        ValueError: If the shapes do not fit (nothing is broadcast), values are not finite, or t is no time.
        TypeError: If dtypes differ or are not floating.

    Source: Guide IV.2.5-IV.2.8 · JGH §5.

    >>> f = gradient_flow(spectrum(jnp.eye(1)), jnp.zeros((1, 1)), jnp.ones((1, 1)), 1.0)  # 1 - 1/e
    >>> round(float(f[0, 0]), 6)
    0.632121
    """
    f0, y = _start_and_targets(spec.functions, f0, y, "spec.functions")
    _checks.time(t)
    return _gradient_flow(spec, f0, y, t)


def gradient_flow_at(
    spec: Spectrum,
    k_tx: Float[Array, "M N"],
    f0_t: Float[Array, "M nL"],
    f0: Float[Array, "N nL"],
    y: Float[Array, "N nL"],
    t: float | Array,
) -> Float[Array, "M nL"]:
    r"""Gradient flow of the square cost off the data, $f_t(x) = f_0(x) + \frac tN K_{xX} \varphi_1(t\Pi) (y - f_0)$.

    Here $\varphi_1(z) = (1 - e^{-z})/z$ and $\varphi_1(0) = 1$, so that no kernel is inverted.

    Args:
        spec: The kernel's eigenvalues and eigenfunctions at the data, from `spectrum`; one serves every t.
        k_tx: $K(x, x_j)$ at M points x and the N data points, (M, N).
        f0_t: $f_0(x)$ at the M points, (M, n_L).
        f0: $f_0(x_j)$, (N, n_L).
        y: Targets, (N, n_L).
        t: Time, learning rate times steps, one number from 0 on or `jnp.inf`; `jax.vmap` over several.

    Returns:
        $f_t(x)$ at the M points, (M, n_L); for t = ∞ the limit, in which the null space of $\Pi$ has no part.

    Raises:
        ValueError: If the shapes do not fit (nothing is broadcast), values are not finite, or t is no time.
        TypeError: If dtypes differ or are not floating.

    Source: Guide IV.2.4-IV.2.6 and IV.3 · JGH §5.

    >>> one, zero = jnp.ones((1, 1)), jnp.zeros((1, 1))
    >>> gradient_flow_at(spectrum(one), 0.5 * one, zero, zero, one, jnp.inf).tolist()
    [[0.5]]
    """
    k_tx = _checks.rows(k_tx, "k_tx", "N")
    f0, y = _start_and_targets(k_tx, f0, y, "k_tx")
    _checks.data_points(spec.functions, f0, "spec.functions", "f0")
    _checks.time(t)
    f0_t = jnp.asarray(f0_t)
    if f0_t.shape != (len(k_tx), f0.shape[1]):
        raise ValueError(
            f"f0_t must have the shape (M, n_L) = {(len(k_tx), f0.shape[1])}: got {f0_t.shape}. "
            f"Write jnp.zeros({(len(k_tx), f0.shape[1])}) for a start at 0, f0_t[:, None] for one output."
        )
    _checks.same_dtype(k_tx, f0_t, "k_tx", "f0_t")
    _checks.finite(f0_t, "f0_t")
    return _gradient_flow_at(spec, k_tx, f0_t, f0, y, t)


def kernel_descent(
    cost: Callable[[Array], Array],
    k_xx: Float[Array, "N N"],
    f0: Float[Array, "N nL"],
    *,
    learning_rate: float | Array,
    steps: int,
) -> tuple[Float[Array, "N nL"], Float[Array, " steps"]]:
    r"""Kernel gradient descent of any cost, $f \leftarrow f - \eta\, \nabla_K C|_f$, one compiled loop.

    Args:
        cost: `cost(f)`, a number, for values f at the data, (N, n_L); then $d|_f = N\, \partial C / \partial f$.
            It is compiled once per function: pass the same object again, not a new lambda.
        k_xx: $K(x_i, x_j)$ at the N data points, (N, N).
        f0: The values at time 0, (N, n_L).
        learning_rate: $\eta$; time advances by it at every step.
        steps: Number of steps.

    Returns:
        The values after the last step, (N, n_L), and the cost before every step, (steps,).

    Raises:
        ValueError: If shapes do not fit, values are not finite, cost gives no number, steps is no integer from 1 on,
            learning_rate is negative, or the values diverge.
        TypeError: If dtypes differ or are not floating.

    Source: Guide I.3.11-I.3.13 · JGH §3.

    >>> f, costs = kernel_descent(lambda f: (f**2).sum() / 2, jnp.eye(1), jnp.ones((1, 1)), learning_rate=0.5, steps=2)
    >>> f.tolist(), costs.tolist()
    ([[0.25]], [0.5, 0.125])
    """
    k_xx, f0 = _checks.gram(k_xx, "k_xx"), _checks.rows(f0, "f0", "n_L")
    _checks.data_points(k_xx, f0, "k_xx", "f0")
    _checks.count(steps, "steps")
    _checks.amount(learning_rate, "learning_rate")
    f, costs = _kernel_descent(cost, k_xx, f0, learning_rate, steps)
    _refuse_divergence(f, learning_rate, steps)
    return f, costs


def square_cost(f: Float[Array, "N nL"], y: Float[Array, "N nL"]) -> Float[Array, ""]:
    r"""Least-squares cost $C(f) = \frac12 \|f - y\|^2_{p^{in}} = \frac{1}{2N} \sum_i \|f(x_i) - y_i\|^2$.

    Args:
        f: Values at the N data points, (N, n_L).
        y: Targets, (N, n_L).

    Returns:
        A number.

    Raises:
        ValueError: If f is not (N, n_L), the shapes differ (nothing is broadcast) or values are not finite.
        TypeError: If dtypes differ.

    Source: Guide IV.2.1 · JGH §5.

    >>> float(square_cost(jnp.array([[1.0], [3.0]]), jnp.zeros((2, 1))))
    2.5
    """
    f = _checks.rows(f, "f", "n_L")
    y = _checks.targets(y, f)
    return ((f - y) ** 2).sum() / (2 * f.shape[0])


def cross_entropy_cost(f: Float[Array, "N nL"], labels: Integer[Array, " N"]) -> Float[Array, ""]:
    r"""Cross-entropy cost $C(f) = -\frac1N \sum_i \log p_{c_i}(x_i)$ with $p_k = e^{f_k} / \sum_{k'} e^{f_{k'}}$.

    Args:
        f: Values at the N data points, (N, n_L), one column per class.
        labels: The classes $c_i$, integers from 0 to n_L - 1, (N,).

    Returns:
        A number, in nats.

    Raises:
        ValueError: If f is not (N, n_L) and finite, or labels are not (N,) integers from 0 to n_L - 1.
            Under `jit` the range is not checked.

    Source: Guide I.2 · JGH §3.

    >>> round(float(cross_entropy_cost(jnp.zeros((3, 2)), jnp.array([0, 1, 1]))), 6)
    0.693147
    """
    f, labels = _checks.rows(f, "f", "n_L"), jnp.asarray(labels)
    if labels.shape != (len(f),) or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(
            f"labels must be integers of shape (N,) = ({len(f)},): got {labels.dtype} of shape {labels.shape}. "
            "Write jnp.argmax(y, axis=1) for targets with one column per class."
        )
    if _checks.is_concrete(labels):
        first, last = np.asarray(labels).min(), np.asarray(labels).max()
        if first < 0 or last >= f.shape[1]:
            raise ValueError(
                f"labels must lie in 0, …, n_L − 1 = {f.shape[1] - 1}: got {first} to {last}. "
                "Write one column of f per class."
            )
    return _cross_entropy_cost(f, labels)


def train(
    f: Callable[[PyTree, Array], Array],
    params: PyTree,
    x: Float[Array, "N n0"],
    y: Float[Array, "N nL"],
    *,
    steps: int,
    learning_rate: float | Array = 1.0,
    cost: Cost = square_cost,
    observe: Callable[[PyTree], PyTree] | None = None,
) -> tuple[PyTree, PyTree]:
    r"""Full-batch gradient descent, $\theta \leftarrow \theta - \eta\, \partial_\theta C(f_\theta)$, one compiled loop.

    Args:
        f: A function of parameters and points, with values (N, n_L). It is compiled once per function:
            pass the same object again, not a new lambda.
        params: $\theta$ at time 0; not changed.
        x: N points, one per row.
        y: Targets, (N, n_L).
        steps: Number of steps.
        learning_rate: $\eta$; time advances by it at every step.
        cost: `cost(outputs, y)`, a number.
        observe: A function of the parameters to record before every step; the default records the cost.

    Returns:
        The parameters after the last step, and the records stacked, one per step.

    Raises:
        ValueError: If shapes do not fit, steps is no integer from 1 on, learning_rate is negative,
            or the parameters diverge.
        TypeError: If dtypes differ.

    Source: Guide II.1.1 · JGH §4 and §6.

    >>> end, costs = train(lambda a, x: x * a, jnp.zeros(()), jnp.ones((1, 1)), jnp.ones((1, 1)), steps=3)
    >>> float(end), costs.tolist()
    (1.0, [0.5, 0.0, 0.0])
    """
    x = _checks.rows(x, "x")
    _checks.count(steps, "steps")
    _checks.amount(learning_rate, "learning_rate")
    y = _checks.targets(y, _checks.outputs(jax.eval_shape(f, params, x), x))
    end, records = _train(f, params, x, y, learning_rate, steps, cost, observe)
    _refuse_divergence(end, learning_rate, steps)
    return end, records


def decay(eigenvalues: Float[Array, " N"], t: float | Array) -> tuple[Float[Array, " N"], Float[Array, " N"]]:
    r"""$e^{-t\lambda}$ and its integral over time, $t\, \varphi_1(t\lambda)$ with $\varphi_1(z) = (1 - e^{-z})/z$.

    For λ = 0 they are 1 and t, up to times so long that an eigenvalue below the rounding would show: there, as for
    t = ∞, the integral is 0, as limits have no part in the null space of Π.
    """
    t = jnp.asarray(t, eigenvalues.dtype)
    moving = eigenvalues > 0
    rates = jnp.where(moving, eigenvalues, 1)
    z = rates * jnp.minimum(t, 1000 / rates)  # e^{-1000} is 0 already, and derivatives stay finite at t = ∞
    at_rest = jnp.where(t * _checks.rounding(eigenvalues) < 1, t, 0)
    integral = jnp.where(moving, -jnp.expm1(-z) / rates, at_rest)
    return jnp.where(moving, jnp.exp(-z), 1), integral


def _start_and_targets(kernel: Array, f0: Array, y: Array, kernel_name: str) -> tuple[Array, Array]:
    f0 = _checks.rows(f0, "f0", "n_L")
    _checks.data_points(kernel, f0, kernel_name, "f0")
    return f0, _checks.targets(y, f0)


def _refuse_divergence(end: PyTree, learning_rate: float | Array, steps: int) -> None:
    for leaf in jax.tree.leaves(end):
        if _checks.is_concrete(leaf) and not bool(jnp.isfinite(leaf).all()):
            raise ValueError(
                "learning_rate must be below 2 over the largest eigenvalue of the kernel divided by N: "
                f"got {learning_rate}, and not all is finite after {steps} steps. Write a smaller one."
            )


@jax.jit
def _spectrum(k_xx: Array) -> tuple[Spectrum, Array]:
    n = len(k_xx)
    eigenvalues, vectors = jnp.linalg.eigh(k_xx)
    functions = n**0.5 * vectors[:, ::-1]
    clear = jnp.abs(functions) > 0.1 * jnp.abs(functions).max(axis=0)[None]
    first = jnp.take_along_axis(functions, clear.argmax(axis=0)[None], axis=0)
    known = jnp.where(eigenvalues > _checks.rounding(eigenvalues), eigenvalues / n, 0)[::-1]
    return Spectrum(known, functions * jnp.sign(first)), eigenvalues[jnp.array([0, -1])]


@jax.jit
def _extend(spec: Spectrum, k_tx: Array, i: int | Array) -> Array:
    eigenvalue = spec.eigenvalues[i]
    return k_tx @ spec.functions[:, i] / (len(spec.eigenvalues) * jnp.where(eigenvalue > 0, eigenvalue, jnp.nan))


@jax.jit
def _gradient_flow(spec: Spectrum, f0: Array, y: Array, t: float | Array) -> Array:
    remaining, _ = decay(spec.eigenvalues, t)
    return y + spec.functions @ (remaining[:, None] * (spec.functions.T @ (f0 - y))) / len(y)


@jax.jit
def _gradient_flow_at(spec: Spectrum, k_tx: Array, f0_t: Array, f0: Array, y: Array, t: float | Array) -> Array:
    _, learned = decay(spec.eigenvalues, t)
    return f0_t + k_tx @ (spec.functions @ (learned[:, None] * (spec.functions.T @ (y - f0)))) / len(y) ** 2


@partial(jax.jit, static_argnames=("cost", "steps"))
def _kernel_descent(
    cost: Callable, k_xx: Array, f0: Array, learning_rate: float | Array, steps: int
) -> tuple[Array, Array]:
    if (shape := jax.eval_shape(cost, f0).shape) != ():
        raise ValueError(f"cost must return one number: got shape {shape}. Write a sum or a mean over points.")
    eta = jnp.asarray(learning_rate, f0.dtype)

    def step(f: Array, _: None) -> tuple[Array, Array]:
        value, gradient = jax.value_and_grad(cost)(f)
        return f - eta * (k_xx @ gradient), value  # (1/N) K d with d = N ∂C/∂f

    return jax.lax.scan(step, f0, length=steps)


@jax.jit
def _cross_entropy_cost(f: Array, labels: Array) -> Array:
    return -jnp.take_along_axis(jax.nn.log_softmax(f, axis=1), labels[:, None], axis=1).mean()


@partial(jax.jit, static_argnames=("f", "steps", "cost", "observe"))
def _train(
    f: Callable,
    params: PyTree,
    x: Array,
    y: Array,
    learning_rate: float | Array,
    steps: int,
    cost: Cost,
    observe: Callable | None,
) -> tuple[PyTree, PyTree]:
    def step(params: PyTree, _: None) -> tuple[PyTree, PyTree]:
        value, gradient = jax.value_and_grad(lambda p: cost(f(p, x), y))(params)
        record = value if observe is None else observe(params)
        return jax.tree.map(lambda p, g: p - (learning_rate * g).astype(p.dtype), params, gradient), record

    return jax.lax.scan(step, params, length=steps)
