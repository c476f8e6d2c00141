"""Write environment.yml, for Binder and conda, with the versions of requirements/book.txt."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = """\
# Written by `make lock` from requirements/book.txt: the same versions for Binder and conda.
name: ntk-checked
channels: [conda-forge]
dependencies:
  - python=3.12
  - pip
  - pip:
"""


def pins() -> list[str]:
    """The locked requirements without their hashes."""
    text = (ROOT / "requirements" / "book.txt").read_text(encoding="utf-8")
    return [line.rstrip(" \\") for line in text.splitlines() if re.match(r"[a-z0-9]", line, re.IGNORECASE)]


def environment() -> str:
    """The content of environment.yml."""
    return HEAD + "".join(f'      - "{pin}"\n' for pin in [*pins(), "-e ."])


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(environment(), encoding="utf-8")
