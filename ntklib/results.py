"""Result files of long experiments: small JSON files with parameters, provenance, arrays and a checksum."""

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_DIGITS = 7  # what float32 holds


class Result(NamedTuple):
    """A stored experiment: what was asked, how it was made, and the numbers."""

    parameters: dict[str, Any]
    provenance: dict[str, Any]
    arrays: dict[str, np.ndarray]


def save(path: str | Path, parameters: Mapping, provenance: Mapping, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a result file, whole or not at all.

    Args:
        path: Where; an existing file is replaced once the new one is complete.
        parameters: What defines the experiment, seeds included.
        provenance: Machine, versions, seconds and date; see `provenance`.
        arrays: Named arrays of numbers; seven significant digits are kept.
    """
    stored = {name: _encode(np.asarray(array)) for name, array in arrays.items()}
    head = {"parameters": dict(parameters), "provenance": dict(provenance), "sha256": _checksum(stored)}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    body = ",\n".join(f"  {json.dumps(name)}: {json.dumps(array)}" for name, array in stored.items())
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    partial.write_text("{\n" + ",\n".join(lines) + ',\n"arrays": {\n' + body + "\n}\n}\n")
    partial.replace(path)


def load(path: str | Path, *, remake: str) -> Result:
    """Read a result file and check that it is whole.

    Args:
        path: The file.
        remake: The command that makes the file anew, named in the messages.

    Returns:
        `Result(parameters, provenance, arrays)`.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If the file is damaged; it is left as it is.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"The result file {path.name} is missing. Run `{remake}` to make it.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        stored = content["arrays"]
        whole = content["sha256"] == _checksum(stored)
        arrays = {name: np.array(a["values"], dtype=float).reshape(a["shape"]) for name, a in stored.items()}
        result = Result(content["parameters"], content["provenance"], arrays)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(_damaged(path, remake, f"it cannot be read ({type(error).__name__})")) from error
    if not whole:
        raise ValueError(_damaged(path, remake, "its numbers do not match its checksum"))
    return result


def provenance(seconds: float, date: str) -> dict[str, Any]:
    """Where and how numbers were made: versions, hardware, seconds, date.

    Args:
        seconds: Time the experiment took, in seconds.
        date: Day it was made, as YYYY-MM-DD.

    Returns:
        A dictionary of plain values.
    """
    return {
        "date": date,
        "seconds": round(seconds),
        "hardware": f"{_processor()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("jax", "numpy")},
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _encode(array: np.ndarray) -> dict[str, Any]:
    return {"shape": list(array.shape), "values": [float(f"{v:.{_DIGITS}g}") for v in array.ravel().tolist()]}


def _checksum(stored: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest()


def _damaged(path: Path, remake: str, why: str) -> str:
    return f"The result file {path.name} is damaged: {why}. Move it away and run `{remake}` to make it anew."
