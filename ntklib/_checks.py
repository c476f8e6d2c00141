"""The sentences of the library's errors: what must hold, what was given, what to write instead."""

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

Shaped = Array | jax.ShapeDtypeStruct


def is_concrete(value: Any) -> bool:
    """Whether values can be looked at: false for what `jit`, `vmap` and `grad` trace."""
    return not isinstance(value, jax.core.Tracer)


def depth(value: Any) -> None:
    """Depth L counts affine maps: an integer from 1 on."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(
            f"depth must be an integer from 1 on, the number of affine maps: got {value!r}. "
            "Write depth=2 for one hidden layer."
        )


def non_negative(value: Any, name: str) -> None:
    """A finite number from 0 on, or an array of them."""
    number = isinstance(value, Real | np.ndarray | Array) and not isinstance(value, bool)
    if is_concrete(value) and not (number and bool(np.all(np.isfinite(value) & (np.asarray(value) >= 0)))):
        shape = getattr(value, "shape", None)
        got = f"an array of shape {shape}" if shape else repr(value.item() if shape == () else value)
        raise ValueError(f"{name} must be a finite number from 0 on: got {got}. Write, for example, {name}=0.1.")


def number(value: Any, name: str) -> None:
    """A finite Python number."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be finite and real: got {value!r}. Write, for example, {name}=0.1.")


def covariance(q: Any, c: Any, r: Any) -> tuple[Array, Array, Array]:
    """Variances and a covariance of one shape, as a Gaussian pair can have them."""
    q, c, r = jnp.asarray(q), jnp.asarray(c), jnp.asarray(r)
    if not q.shape == c.shape == r.shape:
        raise ValueError(
            f"q, c and r must have one shape: got {q.shape}, {c.shape} and {r.shape}. "
            "Write q, c, r = jnp.broadcast_arrays(q, c, r) first."
        )
    same_dtype(q, c, "q", "c")
    same_dtype(q, r, "q", "r")
    if all(map(is_concrete, (q, c, r))):
        u, v, w = (np.asarray(a, float) for a in (q, c, r))
        bad = ~((u >= 0) & (w >= 0) & (np.abs(v) <= np.sqrt(np.maximum(u * w, 0)) * (1 + 8 * jnp.finfo(q.dtype).eps)))
        if bad.any():
            raise ValueError(
                f"q, c and r must be variances q, r ≥ 0 and a covariance with c² ≤ qr: got {int(bad.sum())} entries "
                "that are not. Write q and r as the diagonal of the matrix that c is an entry of."
            )
    return q, c, r


def count(value: Any, name: str) -> None:
    """A whole number from 1 on."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be an integer from 1 on: got {value!r}. Write, for example, {name}=100.")


def rows(value: Any, name: str, columns: str = "n_0") -> Array:
    """An array of at least one row, one row per point, of finite floating-point numbers."""
    array = jnp.asarray(value)
    if array.ndim != 2:
        hint = f"Write {name}[:, None] for points of one dimension." if array.ndim == 1 else "Write one row per point."
        raise ValueError(f"{name} must have shape (number of points, {columns}): got {array.shape}. {hint}")
    if 0 in array.shape:
        raise ValueError(
            f"{name} must hold at least one point of at least one dimension: got shape {array.shape}. "
            "Write one row per point."
        )
    floating(array, name)
    finite(array, name)
    return array


def floating(array: Array, name: str) -> None:
    """Floating-point numbers, so that nothing is rounded to integers."""
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"{name} must hold floating-point numbers: got {array.dtype}. Write jnp.asarray({name}, dtype=float)."
        )


def finite(array: Array | np.ndarray, name: str) -> None:
    """No NaN and no infinity, where the values can be looked at."""
    if is_concrete(array) and (bad := int((~np.isfinite(np.asarray(array))).sum())):  # numpy: jax would trace it
        raise ValueError(
            f"{name} must be finite: got {bad} NaN or infinite entries. Remove them or replace them first."
        )


def pair(x: Any, y: Any) -> tuple[Array, Array | None]:
    """Two sets of points of one dimension and one dtype; `y=None` means the points of x again."""
    x = rows(x, "x")
    if y is None:
        return x, None
    y = rows(y, "y")
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"x and y must hold points of one dimension: got {x.shape[1]} and {y.shape[1]} columns. "
            "Write both as (number of points, n_0)."
        )
    same_dtype(x, y, "x", "y")
    return x, y


def same_dtype(a: Shaped, b: Shaped, a_name: str, b_name: str) -> None:
    """Two arrays of one dtype, so that none loses digits unnoticed."""
    if a.dtype != b.dtype:
        raise TypeError(
            f"{a_name} and {b_name} must have one dtype: got {a.dtype} and {b.dtype}. "
            f"Write {b_name}.astype({a_name}.dtype)."
        )


def widths(value: Any, depth: int) -> tuple[int, ...]:
    """The widths n_0, …, n_L: depth + 1 integers from 1 on."""
    numbers = tuple(value) if isinstance(value, Iterable) else (value,)
    if len(numbers) != depth + 1:
        raise ValueError(
            f"widths must list n_0, …, n_L, that is depth + 1 = {depth + 1} numbers: got {len(numbers)}, {numbers}. "
            f"Write, for example, widths={(2, *(100,) * (depth - 1), 1)}."
        )
    if any(isinstance(n, bool) or not isinstance(n, Integral) or n < 1 for n in numbers):
        raise ValueError(
            f"widths must be integers from 1 on: got {numbers}. "
            f"Write, for example, widths={(2, *(100,) * (depth - 1), 1)}."
        )
    return tuple(int(n) for n in numbers)


def params(value: Any, depth: int, x: Array) -> None:
    """Parameters that fit the depth of the network and the dimension of the points."""
    if len(value) != depth:
        raise ValueError(
            f"params must hold one (W, b) per layer, depth = {depth} of them: got {len(value)}. "
            "Write params = init(mlp, key, widths) with the same mlp."
        )
    n_0 = value[0][0].shape[1]
    if n_0 != x.shape[1]:
        raise ValueError(
            f"x must have n_0 = {n_0} columns, as the first weight matrix: got {x.shape[1]}. "
            "Write widths whose first number is the dimension of the points."
        )
    same_dtype(x, value[0][0], "x", "params")


def outputs(value: Any, x: Array) -> Any:
    """What a function returns at the points x: one row per point and one column per output."""
    if value.ndim != 2 or value.shape[0] != x.shape[0]:
        raise ValueError(
            f"f must return shape (N, n_L) with N = {x.shape[0]}: got {value.shape}. "
            "Write one row per point, also for a single output."
        )
    return value


def targets(value: Any, outputs: Shaped, name: str = "y") -> Array:
    """Targets of exactly the shape of the network's outputs: nothing is broadcast."""
    array = jnp.asarray(value)
    if array.shape != outputs.shape:
        hint = f"Write {name}[:, None]." if array.ndim == 1 else "Write one row per point, one column per output."
        raise ValueError(
            f"{name} must have the shape (N, n_L) = {outputs.shape} of the network's outputs: got {array.shape}. {hint}"
        )
    same_dtype(outputs, array, "f", name)
    finite(array, name)
    return array


def single(value: Any, name: str) -> None:
    """One number, not several."""
    if np.shape(value) != ():
        raise ValueError(
            f"{name} must be one number: got shape {np.shape(value)}. "
            f"Write jax.vmap(lambda {name}: …)({name}) for several."
        )


def amount(value: Any, name: str) -> None:
    """One finite number from 0 on."""
    single(value, name)
    non_negative(value, name)


def time(value: Any) -> None:
    """One number from 0 on, or ∞."""
    single(value, "t")
    number = isinstance(value, Real | np.ndarray | Array) and not isinstance(value, bool)
    if is_concrete(value) and not (number and bool(np.asarray(value) >= 0)):
        raise ValueError(
            f"t must be a time from 0 on: got {value if number else repr(value)}. "
            "Write learning rate times steps, or jnp.inf for the end of training."
        )


def gram(value: Any, name: str) -> Array:
    """A kernel at one set of points: a square matrix, symmetric up to rounding."""
    matrix = rows(value, name, "N")
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(
            f"{name} must be square, the kernel of one set of points: got {matrix.shape}. Write K(x_i, x_j), (N, N)."
        )
    if is_concrete(matrix):
        values = np.asarray(matrix)
        gap = np.abs(values - values.T).max()
        if gap > jnp.finfo(matrix.dtype).eps ** 0.5 * np.abs(values).max():
            raise ValueError(
                f"{name} must be symmetric: got K(x, x') and K(x', x) that differ by {gap:.1e}. "
                "Write K(x_i, x_j) with the same points in the same order."
            )
    return matrix


def rounding(eigenvalues: Any) -> Any:
    """What rounding may leave of an eigenvalue that should be 0: up to 0.7 √N ε λ_1 was measured."""
    return 4 * len(eigenvalues) ** 0.5 * float(jnp.finfo(eigenvalues.dtype).eps) * eigenvalues.max()


def semi_definite(eigenvalues: Array, name: str) -> None:
    """No eigenvalue below 0, but for rounding."""
    if not is_concrete(eigenvalues):
        return
    values = np.asarray(eigenvalues, float)
    smallest, largest = values.min(), values.max()
    if smallest < -(jnp.finfo(eigenvalues.dtype).eps ** 0.5) * max(largest, 0):
        raise ValueError(
            f"{name} must be positive semi-definite: got the smallest eigenvalue {smallest:.2e} and the largest "
            f"{largest:.2e}. Write the kernel of one set of points, computed in one precision."
        )


def data_points(kernel: Shaped, values: Shaped, kernel_name: str, name: str) -> None:
    """One row of values per column of the kernel, in one dtype."""
    if kernel.shape[1] != values.shape[0]:
        raise ValueError(
            f"{name} must have one row per data point, N = {kernel.shape[1]} as the columns of {kernel_name}: "
            f"got {values.shape[0]} rows. Write {kernel_name} as (points, data points)."
        )
    same_dtype(kernel, values, kernel_name, name)
