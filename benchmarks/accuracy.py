"""Errors of ntklib and of the textbook recursion against 50 digits, by angle, depth, bias and precision.

make bench              also runs this, for two minutes; writes book/data/results/accuracy.json
make bench QUICK=1      one draw, two depths; writes .state/accuracy.json
"""

import argparse
import sys
import time
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import contenders
import jax
import jax.numpy as jnp
import numpy as np
import problems
from tqdm import tqdm

import ntklib as nk

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "ntklib"))
from oracles import kernels

NEAR = (1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2)
RHO = np.array([-1, *(a - 1 for a in NEAR), -0.9, -0.5, 0, 0.5, 0.9, *(1 - a for a in reversed(NEAR)), 1])
DEPTHS, BETAS, DTYPES = (2, 4, 10, 30, 100, 300), (0.0, 0.1), ("float32", "float64")
LENGTHS = {"unequal": (1.0, 0.3, 3.0), "equal": (1.0, 1.0, 1.0)}
"""Of the second point in each draw; that of the first is 1, in units of √n_0."""
SEED, POINTS = 0, 500
"""Many points of equal norm have an algorithm of their own, so others fill up the draws."""


def rows(directions: np.ndarray) -> np.ndarray:
    """Rows of length √n_0."""
    return problems.DIMENSION**0.5 * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def draws(lengths: tuple[float, ...], dtype: str) -> np.ndarray:
    """A first point and one at each angle from it, for each length: (draws, 1 + angles, n_0), rounded to the dtype."""
    random, found = np.random.default_rng(SEED), []
    for length in lengths:
        u, v = random.standard_normal((2, problems.DIMENSION))
        v -= (u @ v) / (u @ u) * u
        turned = RHO[:, None] * rows(u[None]) + np.sqrt((1 - RHO) * (1 + RHO))[:, None] * rows(v[None])
        found.append(np.concatenate([rows(u[None]), length * rows(turned)]))
    return np.array(found).astype(dtype)


def all_points(x: np.ndarray) -> jax.Array:
    """The points of all draws as rows, and others."""
    flat = x.reshape(-1, x.shape[2])
    others = np.random.default_rng(SEED + 1).standard_normal((POINTS - len(flat), x.shape[2]))
    return jnp.asarray(np.concatenate([flat, rows(others).astype(x.dtype)]))


def of_pairs(gram: jax.Array, count: int) -> np.ndarray:
    """The entries between the first points and those of their draws, (draws, angles)."""
    theta, size = np.asarray(gram, float), len(RHO) + 1
    return np.stack([theta[i * size, i * size + 1 : (i + 1) * size] for i in range(count)])


def exact(x: np.ndarray, beta: float, depth: int, eps: float, bar: tqdm) -> tuple[np.ndarray, np.ndarray]:
    """Θ^(1..L) to 50 digits, (L, draws, angles), and how far it moves if the first correlation moves by ± eps."""
    values, moves = np.zeros((2, depth, x.shape[0], x.shape[1] - 1))
    for i, k in np.ndindex(values.shape[1:]):
        pair = "relu", x[i, 0].tolist(), x[i, 1 + k].tolist(), beta, depth
        values[:, i, k], *moved = (kernels(*pair, step)[1] for step in (0, eps, -eps))
        moves[:, i, k] = np.abs(np.array(moved) - values[:, i, k]).max(0)
        bar.update()
    return values, moves


def scales(x: np.ndarray, beta: float, depth: int) -> np.ndarray:
    """√(Θ(x, x) Θ(x′, x′)) at all layers, (L, draws, angles)."""
    q = (x.astype(float) ** 2).mean(-1) + beta**2
    thetas = [q]
    for _ in range(depth - 1):
        q = q / 2 + beta**2
        thetas.append(thetas[-1] / 2 + q)
    theta = np.array(thetas)
    return np.sqrt(theta[:, :, :1] * theta[:, :, 1:])


def ntklib(x: jax.Array, depth: int, beta: float) -> jax.Array:
    return nk.ntk(nk.MLP(depth, nk.relu, beta), x)


def textbook(x: jax.Array, depth: int, beta: float) -> jax.Array:
    return contenders.textbook(jnp, x, x, depth=depth, beta=beta)


def main() -> None:
    """Compare and store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one draw, two depths, nothing written into book/")
    quick = parser.parse_args().quick
    jax.config.update("jax_enable_x64", True)
    depths, count = (DEPTHS[:2], 1) if quick else (DEPTHS, 3)
    layers = np.array(depths) - 1
    arrays: dict[str, Any] = {
        "rho": RHO,
        "one_minus_rho": 1 - RHO,
        "one_plus_rho": 1 + RHO,
        "depths": depths,
        "betas": BETAS,
    }
    started = time.perf_counter()
    with tqdm(total=len(LENGTHS) * len(DTYPES) * len(BETAS) * count * len(RHO), unit="pair") as bar:
        for norms, dtype in product(LENGTHS, DTYPES):
            x = draws(LENGTHS[norms][-count:], dtype)
            found: dict[str, list[np.ndarray]] = {name: [] for name in ("ntklib", "textbook", "gram", "scale")}
            for beta in BETAS:
                rounded = float(np.asarray(beta, dtype))
                values, moves = exact(x, rounded, depths[-1], float(jnp.finfo(dtype).eps), bar)
                scale = scales(x, rounded, depths[-1])
                found["scale"].append(scale.min(1)[layers])
                found["gram"].append((moves / scale).max(1)[layers])
                for kernel in (ntklib, textbook):
                    theta = np.array([of_pairs(kernel(all_points(x), depth, beta), count) for depth in depths])
                    found[kernel.__name__].append((np.abs(theta - values[layers]) / scale[layers]).max(1))
            arrays |= {f"{name}_{norms}_{dtype}": np.array(errors) for name, errors in found.items()}
    parameters = {
        "activation": "relu",
        "dimension": problems.DIMENSION,
        "lengths": LENGTHS,
        "axes": "beta, depth, rho; the largest error over the draws, one for each length",
        "seed": SEED,
    }
    path = ROOT / (".state" if quick else "book/data/results") / "accuracy.json"
    provenance = nk.results.provenance(time.perf_counter() - started, date.today().isoformat())
    nk.results.save(path, parameters, provenance, arrays)
    print(f"Wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
