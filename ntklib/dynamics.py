r"""Dynamics in function space and in parameter space: kernel gradient, costs, gradient descent.

Costs are those of the empirical measure of N points, $C(f) = \frac{1}{2N} \sum_i \|f(x_i) - y_i\|^2$;
time is learning rate times steps.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

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
    if k_tx.shape[1] != d.shape[0]:
        raise ValueError(
            f"d must have one row per data point, N = {k_tx.shape[1]} as the columns of k_tx: got {d.shape[0]} rows. "
            "Write k_tx as (points, data points)."
        )
    _checks.same_dtype(k_tx, d, "k_tx", "d")
    return k_tx @ d / d.shape[0]


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
    _checks.non_negative(learning_rate, "learning_rate")
    y = _checks.targets(y, _checks.outputs(jax.eval_shape(f, params, x), x))
    end, records = _train(f, params, x, y, learning_rate, steps, cost, observe)
    for leaf in jax.tree.leaves(end):
        if _checks.is_concrete(leaf) and not bool(jnp.isfinite(leaf).all()):
            raise ValueError(
                "learning_rate must be below 2 over the largest eigenvalue of the kernel divided by N: "
                f"got {learning_rate}, and the parameters were no longer finite after {steps} steps. "
                "Write a smaller one."
            )
    return end, records


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
