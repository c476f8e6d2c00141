"""The sentences of the library's errors: what must hold, what was given, what to write instead."""

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
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"{name} must hold floating-point numbers: got {array.dtype}. Write jnp.asarray({name}, dtype=float)."
        )
    finite(array, name)
    return array


def finite(array: Array, name: str) -> None:
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
