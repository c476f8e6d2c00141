"""Run every notebook of the book and store it with its outputs, so that a second run changes nothing.

    python tools/execute.py [notebook …]

The first cell, which fetches the book on Colab, is written from the repository's address in _config.yml.
"""

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
COLAB = """\
# On Colab, fetch the book and its library; elsewhere this does nothing.
import sys

if "google.colab" in sys.modules:
    !git clone -q --depth 1 {url} /content/book
    %cd /content/book/{folder}
    %pip install --quiet /content/book"""


def chapters() -> list[Path]:
    """The notebooks of the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    return [path for file in files if (path := ROOT / f"{file}.ipynb").exists()]


def with_first_cell(notebook: nbformat.NotebookNode, path: Path) -> nbformat.NotebookNode:
    """The notebook with its Colab cell as it must be."""
    url = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    source = COLAB.format(url=url, folder=path.parent.relative_to(ROOT).as_posix())
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if code and "google.colab" in code[0].source:
        cell = code[0]
    else:
        cell = nbformat.v4.new_code_cell(id="colab")
        notebook.cells.insert(1, cell)
    cell.source, cell.metadata = source, {"tags": ["remove-cell"]}
    return notebook


def execute(path: Path) -> None:
    """Run one notebook and store it."""
    notebook = with_first_cell(nbformat.read(path, as_version=4), path)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": path.parent}},
        record_timing=False,
        coalesce_streams=True,
    ).execute()
    notebook.metadata = METADATA
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def main() -> None:
    """Run the notebooks, two at a time, with a bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of the table of contents")
    paths = parser.parse_args().notebooks or chapters()
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for _ in tqdm(pool.map(execute, [path.resolve() for path in paths]), total=len(paths), unit="notebook"):
            pass


if __name__ == "__main__":
    main()
