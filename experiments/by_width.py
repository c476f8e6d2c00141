"""What the experiments by width share: erf and ReLU networks with two equal hidden layers, from many starts."""

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import ntklib as nk

ROOT = Path(__file__).parents[1]
DEPTH, BETA = 3, 0.1
NETWORKS = {"erf": nk.MLP(DEPTH, nk.erf, BETA), "relu": nk.MLP(DEPTH, nk.relu, BETA)}


class Run(NamedTuple):
    """One network to train, for the experiment of this name."""

    experiment: str
    activation: str
    width: int
    initialisation: int

    def __str__(self) -> str:
        return f"{self.activation}, width {self.width}, initialisation {self.initialisation}"

    @property
    def path(self) -> Path:
        record = f"{self.activation}-width-{self.width}-initialisation-{self.initialisation}.json"
        return ROOT / ".state" / self.experiment / record

    @property
    def seed(self) -> int:
        return 10_000 * list(NETWORKS).index(self.activation) + self.width + self.initialisation


def runs(experiment: str, initialisations: Mapping[int, int]) -> list[Run]:
    """All runs, from the smallest width on; `initialisations` says how many for each width."""
    return [Run(experiment, a, n, i) for n, count in initialisations.items() for a in NETWORKS for i in range(count)]


def outputs_of(activation: str) -> Callable[[nk.Params, jax.Array], jax.Array]:
    return lambda params, x: nk.apply(NETWORKS[activation], params, x)


OUTPUTS = {activation: outputs_of(activation) for activation in NETWORKS}


def rms(values: jax.Array) -> jax.Array:
    return jnp.sqrt((values**2).mean())


def save(experiment: str, found: Mapping[Run, dict], initialisations: Mapping[int, int], parameters: dict) -> None:
    """Write the result file: arrays (initialisations, times), named activation_quantity_width."""
    arrays = {}
    for activation in NETWORKS:
        for width, count in initialisations.items():
            values = [found[Run(experiment, activation, width, i)]["values"] for i in range(count)]
            for name in values[0][0]:
                arrays[f"{activation}_{name}_{width}"] = np.array([[row[name] for row in rows] for rows in values])
    result = Path("book", "data", "results", f"{experiment}.json")
    seconds = sum(record["seconds"] for record in found.values())
    nk.results.save(ROOT / result, parameters, nk.results.provenance(seconds, date.today().isoformat()), arrays)
    print(f"Wrote {result}")
