"""What the tests of the book look at."""

import json
from pathlib import Path

from ledger import read_claims, read_yaml

ROOT = Path(__file__).parents[2]
CONFIG = read_yaml(ROOT / "_config.yml")
TOC = read_yaml(ROOT / "_toc.yml")
SOURCES = read_yaml(ROOT / "book" / "sources.yml")
CLAIMS = read_claims()

PAGES = [TOC["root"]] + [chapter["file"] for part in TOC["parts"] for chapter in part["chapters"]]
CHAPTERS = [page for page in PAGES if (ROOT / f"{page}.ipynb").exists()]
LESSONS = [chapter for chapter in CHAPTERS if not chapter.startswith("book/end/")]
"""Chapters that teach and check claims; the notebooks at the end of the book report."""


def cells(chapter: str, kind: str) -> list[dict]:
    """The cells of one kind, with their source as one string."""
    notebook = json.loads((ROOT / f"{chapter}.ipynb").read_text(encoding="utf-8"))
    found = [cell for cell in notebook["cells"] if cell["cell_type"] == kind]
    return [cell | {"source": "".join(cell["source"])} for cell in found]


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def text(chapter: str) -> str:
    return "\n\n".join(cell["source"] for cell in cells(chapter, "markdown"))
