"""Seconds and memory of ntklib beside the bare Gram product, the textbook, and other libraries.

Each contender runs in a process of its own. In a round every contender of a case is timed once, in random order; a
ratio is taken within each round, so that a slow moment of the machine hits both of its numbers, and the median over the
rounds is reported. The first call, which compiles, is reported apart.

    make bench              about 20 minutes, on a quiet machine; writes book/data/results/benchmarks.json
    make bench QUICK=1      a minute, to try it; writes .state/benchmarks.json
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

import ntklib as nk

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[1]
SEED = 1


class Contender(NamedTuple):
    """Where a method is defined, and how much work it is given: what is beyond would take too long or too much."""

    module: str
    function: str
    most: float = np.inf


class Section(NamedTuple):
    """A task, its contenders, and the one to which the others are compared."""

    reference: str
    contenders: dict[str, Contender]
    full: list[dict[str, Any]]
    quick: list[dict[str, Any]]


def infinite(sizes: tuple[int, ...], depths: tuple[int, ...], dtypes: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {"N": N, "depth": depth, "dtype": dtype, "norms": norms}
        for norms in ("unequal", "equal")
        for dtype in dtypes
        for depth in depths
        for N in sizes
    ]


def finite(sizes: tuple[int, ...], widths: tuple[int, ...]) -> list[dict[str, Any]]:
    return [{"N": N, "width": width} for N in sizes for width in widths]


SECTIONS = {
    "infinite": Section(
        "Gram product",
        {
            "Gram product": Contender("contenders", "gram"),
            "ntklib": Contender("contenders", "limit"),
            "textbook, jax": Contender("contenders", "textbook_jax", 5e8),
            "textbook, numpy": Contender("contenders", "textbook_numpy", 5e8),
            "neural-tangents": Contender("peer_neural_tangents", "limit", 5e8),
        },
        infinite((1000, 4000, 10_000), (4, 30, 100), ("float32", "float64")),
        infinite((500,), (4, 30), ("float32",)),
    ),
    "empirical": Section(
        "ntklib",
        {
            "ntklib": Contender("contenders", "empirical"),
            "Jacobian, jax": Contender("contenders", "jacobian", 1e9),
            "Jacobian, torch.func": Contender("peer_torch", "jacobian", 1e9),
            "products, jax": Contender("contenders", "vector_products", 1e9),
            "neural-tangents": Contender("peer_neural_tangents", "empirical"),
        },
        finite((64, 256), (500, 2000, 10_000)),
        finite((32,), (200,)),
    ),
    "flow": Section(
        "ntklib",
        {
            "ntklib": Contender("contenders", "flow"),
            "exponentials, jax": Contender("contenders", "exponentials", 250),
            "neural-tangents": Contender("peer_neural_tangents", "flow"),
        },
        [{"N": 125}, {"N": 250}, {"N": 500}, {"N": 1000}],
        [{"N": 100}],
    ),
}


def work(section: str, case: dict[str, Any]) -> float:
    """Entries × layers × words of an infinite kernel, points × parameters of an empirical one, points of a flow."""
    if section == "infinite":
        return case["N"] ** 2 * case["depth"] * np.dtype(case["dtype"]).itemsize / 4
    if section == "empirical":
        return case["N"] * (784 + 2 * case["width"]) * case["width"]
    return case["N"]


class Worker:
    """A contender in its process."""

    def __init__(self, python: Path, contender: Contender, double: bool) -> None:
        """Start it, without any store of compiled code, and in double precision if asked for."""
        off = "JAX_COMPILATION_CACHE_DIR"
        environment = {k: v for k, v in os.environ.items() if k != off} | {"JAX_ENABLE_X64": str(int(double))}
        command = [str(python), "-W", "ignore", str(HERE / "worker.py"), contender.module, contender.function]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, bufsize=1
        )

    def ask(self, order: Any) -> Any:
        """Its answer to an order."""
        assert self.process.stdin and self.process.stdout
        print(json.dumps(order), file=self.process.stdin)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args!r} stopped; its message is above")
        return json.loads(answer)

    def close(self) -> None:
        """End it."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


class Race:
    """All rounds of all cases, row by row."""

    def __init__(self, pythons: dict[str, Path], quick: bool) -> None:
        """Nothing measured yet."""
        self.pythons, self.quick = pythons, quick
        self.workers: dict[tuple[str, str, bool], Worker] = {}
        self.rows: list[dict[str, Any]] = []
        self.skipped: list[dict[str, Any]] = []
        self.random = random.Random(SEED)

    def worker(self, section: str, name: str, case: dict[str, Any]) -> Worker:
        """The process of a contender, started when first needed."""
        double = section == "flow" or case.get("dtype") == "float64"
        contender = SECTIONS[section].contenders[name]
        key = section, name, double
        if key not in self.workers:
            self.workers[key] = Worker(self.pythons[contender.module], contender, double)
        return self.workers[key]

    def enters(self, section: str, name: str, case: dict[str, Any]) -> bool:
        """Whether a contender takes part in a case; if it does not, why not is kept."""
        contender = SECTIONS[section].contenders[name]
        if contender.module not in self.pythons:
            return False
        if case.get("norms") == "equal" and name not in ("Gram product", "ntklib"):
            return False  # their cost does not depend on the norms
        if work(section, case) > contender.most:
            self.skipped.append({"section": section, "contender": name, **case})
            return False
        return True

    def run(self, section: str, case: dict[str, Any]) -> None:
        """All rounds of one case."""
        names = [name for name in SECTIONS[section].contenders if self.enters(section, name, case)]
        workers = {name: self.worker(section, name, case) for name in names}
        first = {name: worker.ask(case) for name, worker in workers.items()}
        reference = SECTIONS[section].reference
        entries = {name: np.array(answer["entries"]) for name, answer in first.items() if name != "Gram product"}
        for name, values in entries.items():
            if np.abs(values - entries["ntklib"]).max() > 1e-3 * np.abs(values).max():
                raise RuntimeError(f"{name} and ntklib disagree on {case}: {values}, {entries['ntklib']}")
        rounds: list[dict[str, float]] = []
        fewest, most, budget = (2, 2, 0) if self.quick else (3, 15, 8)
        started = time.perf_counter()
        while len(rounds) < fewest or (len(rounds) < most and time.perf_counter() - started < budget):
            order = self.random.sample(names, len(names))
            rounds.append({name: workers[name].ask("time") for name in order})
        for name in names:
            seconds = np.array([times[name] for times in rounds])
            low, ratio, high = np.quantile(seconds / [times[reference] for times in rounds], (0.25, 0.5, 0.75))
            median = float(np.median(seconds))
            numbers = {
                "seconds": median,
                "ratio": ratio,
                "ratio_low": low,
                "ratio_high": high,
                "compile": max(first[name]["seconds"] - median, 0.0),
                "memory": workers[name].ask("memory") / 1e6,
                "result": first[name]["bytes"] / 1e6,
                "rounds": len(rounds),
            }
            self.rows.append({"section": section, "contender": name, **case, **numbers})

    def close(self) -> None:
        """End the processes of a section."""
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()


NUMBERS = ("seconds", "ratio", "ratio_low", "ratio_high", "compile", "memory", "result", "rounds")


def named(case: dict[str, Any]) -> str:
    return ", ".join(str(v) if isinstance(v, str) else f"{k} {v}" for k, v in case.items())


def versions(python: Path, *packages: str) -> dict[str, str] | None:
    """Versions in an environment, or nothing if it does not hold them all."""
    code = "import importlib.metadata as m, json, sys; print(json.dumps({p: m.version(p) for p in sys.argv[1:]}))"
    try:
        answer = subprocess.run([python, "-c", code, *packages], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return json.loads(answer.stdout)


def show(rows: list[dict[str, Any]]) -> None:
    """The rows as a table."""
    heads = f"{'seconds':>10s}{'ratio':>8s}{'compile':>9s}{'MB':>8s}{'/ result':>10s}{'rounds':>8s}"
    print(f"{'case':50s}{'contender':22s}{heads}")
    for row in rows:
        case = named({k: v for k, v in row.items() if k not in ("contender", *NUMBERS)})
        print(
            f"{case:50s}{row['contender']:22s}{row['seconds']:10.4f}{row['ratio']:8.2f}"
            f"{row['compile']:9.1f}{row['memory']:8.0f}{row['memory'] / row['result']:10.2f}{row['rounds']:8d}"
        )


def main() -> None:
    """Run all sections, print the table and store it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smallest sizes, two rounds, nothing written into book/")
    parser.add_argument("--neural-tangents", type=Path, help="the Python of its environment")
    parser.add_argument("--torch", type=Path, help="a Python that has torch")
    arguments = parser.parse_args()

    pythons, peers = {"contenders": Path(sys.executable)}, {}
    for name, python, packages in (
        ("neural_tangents", arguments.neural_tangents, ("neural-tangents", "jax", "jaxlib", "numpy")),
        ("torch", arguments.torch, ("torch", "numpy")),
    ):
        if python and (found := versions(python, *packages)):
            pythons[f"peer_{name}"], peers[packages[0]] = python, found
        else:
            print(f"{packages[0]} is not installed, so it is left out of the comparison.")

    started = time.perf_counter()
    race = Race(pythons, arguments.quick)
    cases = {name: section.quick if arguments.quick else section.full for name, section in SECTIONS.items()}
    with tqdm(total=sum(map(len, cases.values())), unit="case") as bar:
        for section, of_section in cases.items():
            for case in of_section:
                bar.set_description(f"{section} {named(case)}")
                race.run(section, case)
                bar.update()
            race.close()
    show(race.rows)

    path = ROOT / (".state" if arguments.quick else "book/data/results") / "benchmarks.json"
    labels = [{k: v for k, v in row.items() if k not in NUMBERS} for row in race.rows]
    parameters = {"rows": labels, "skipped": race.skipped, "seed": SEED, "quick": arguments.quick}
    provenance = nk.results.provenance(time.perf_counter() - started, date.today().isoformat()) | {"peers": peers}
    nk.results.save(path, parameters, provenance, {k: np.array([row[k] for row in race.rows]) for k in NUMBERS})
    print(f"Wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
