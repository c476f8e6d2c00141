"""One contender in a process of its own, in the environment it needs.

    python worker.py <module> <function>

Reads one order a line and answers with one line: a case, for which the function prepares a call and the call is made
for the first time; `time`, the seconds of one more call; `memory`, its largest use of memory in bytes.
"""

import ctypes
import gc
import importlib
import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PROCESS = Path("/proc/self")


def finished(call: Callable[[], Any]) -> Any:
    """What the call returns, once it is there: jax returns before it has computed."""
    result = call()
    getattr(result, "block_until_ready", lambda: None)()
    return result


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    finished(call)
    return time.perf_counter() - start


def first(call: Callable[[], Any]) -> dict[str, Any]:
    """Seconds of the first call, and some entries of its result for comparison."""
    start = time.perf_counter()
    result = np.asarray(finished(call))
    return {
        "seconds": time.perf_counter() - start,
        "entries": result.reshape(-1)[:: result.size // 10 + 1].tolist(),
        "bytes": result.nbytes,
    }


def memory(call: Callable[[], Any]) -> float:
    """Largest resident memory during a call over that before it, in bytes; NaN where the system does not tell."""
    if not (PROCESS / "clear_refs").exists():
        return float("nan")
    _keep_blocks_below(2**16)  # larger ones come from the system and go back, so that none is used a second time
    gc.collect()
    (PROCESS / "clear_refs").write_text("5")  # forget the largest use so far
    before = _status("VmRSS")
    finished(call)
    largest = _status("VmHWM")
    _keep_blocks_below(2**25)  # glibc's own choice after a while
    return largest - before


def _keep_blocks_below(size: int) -> None:
    mmap_threshold, trim_threshold = -3, -1
    libc = ctypes.CDLL(None)
    libc.mallopt(mmap_threshold, size)
    libc.mallopt(trim_threshold, 2 * size)
    libc.malloc_trim(0)


def _status(name: str) -> float:
    return 1024 * float(re.search(rf"{name}:\s+(\d+)", (PROCESS / "status").read_text())[1])  # type: ignore[index]


def main() -> None:
    prepare = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no answer
    call: Callable[[], Any] = lambda: None  # noqa: E731
    for line in sys.stdin:
        order = json.loads(line)
        if order == "time":
            answer: Any = seconds(call)
        elif order == "memory":
            answer = memory(call)
        else:
            del call
            call = prepare(**order)
            answer = first(call)
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
