"""What every experiment does: train what is missing, with a progress bar; keep what is done; write one result file."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from tqdm import tqdm

import ntklib as nk

ROOT = Path(__file__).parents[1]


class Run(Protocol):
    """One network to train: its width, for the progress bar, and the file that keeps its record."""

    @property
    def width(self) -> int: ...

    @property
    def path(self) -> Path: ...


AnyRun = TypeVar("AnyRun", bound=Run)


def kept(experiment: str, name: str) -> Path:
    """Where a record is kept, so that a stopped experiment goes on."""
    return ROOT / ".state" / experiment / f"{name}.json"


def progress(bar: tqdm, weights: int, share: float) -> None:
    bar.update(share * weights)


def records(runs: Sequence[AnyRun], train: Callable[[AnyRun, Callable[[float], object]], dict]) -> dict[AnyRun, dict]:
    """The record of every run, with its seconds; `train(run, progress)` makes one and calls `progress(share done)`."""
    missing = [run for run in runs if not run.path.exists()]
    work = {run: run.width**2 for run in runs}
    done = sum(work[run] for run in runs if run not in missing)
    with tqdm(total=sum(work.values()), initial=done, unit_scale=True, unit="weights", smoothing=0.05) as bar:
        for run in missing:
            bar.set_description(str(run))
            started = time.perf_counter()
            record = train(run, partial(progress, bar, work[run]))
            run.path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = run.path.with_suffix(".partial")
            unfinished.write_text(json.dumps(record | {"seconds": time.perf_counter() - started}))
            unfinished.replace(run.path)
    return {run: json.loads(run.path.read_text()) for run in runs}


def save(experiment: str, parameters: Mapping, arrays: Mapping[str, np.ndarray], found: Iterable[dict]) -> None:
    """Write the result file, with the seconds that the records name."""
    result = Path("book", "data", "results", f"{experiment}.json")
    seconds = sum(record["seconds"] + record.get("seconds_before", 0.0) for record in found)
    nk.results.save(ROOT / result, parameters, nk.results.provenance(seconds, date.today().isoformat()), arrays)
    print(f"Wrote {result}")
