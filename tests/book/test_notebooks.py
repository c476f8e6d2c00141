"""Notebooks are stored as they must be: executed in order, without errors, with alt texts, readable when launched."""

import re

import pytest
from contents import CHAPTERS, CONFIG, ROOT, cells, tags, text

pytestmark = pytest.mark.parametrize("chapter", CHAPTERS)


def outputs(chapter):
    return [output for cell in cells(chapter, "code") for output in cell["outputs"]]


def test_executed_from_top_to_bottom(chapter):
    counts = [cell["execution_count"] for cell in cells(chapter, "code")]
    assert counts == list(range(1, len(counts) + 1))


def test_no_stored_error_and_no_warning(chapter):
    assert not [output for output in outputs(chapter) if output["output_type"] == "error"]
    assert not [output for output in outputs(chapter) if output.get("name") == "stderr"]


def test_figures_are_svg_with_alt_text(chapter):
    for cell in cells(chapter, "code"):
        shown = [output["data"] for output in cell["outputs"] if "data" in output]
        assert not any("image/png" in data for data in shown)
        if any("image/svg+xml" in data and "text/html" not in data for data in shown):
            alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt.split()) >= 8, f"describe the figure of cell {cell['id']}"


def test_figures_are_reproducible(chapter):
    for output in outputs(chapter):
        svg = "".join(output.get("data", {}).get("image/svg+xml", ""))
        assert "<dc:date>" not in svg


def test_no_path_of_a_machine(chapter):
    assert not re.search(r"/(tmp|root|work|home|Users)/\w", (ROOT / f"{chapter}.ipynb").read_text(encoding="utf-8"))


def test_first_cell_fetches_the_book_on_colab(chapter):
    first = cells(chapter, "code")[0]
    folder = (ROOT / chapter).parent.relative_to(ROOT).as_posix()
    assert "remove-cell" in tags(first)
    assert f"git clone -q --depth 1 {CONFIG['repository']['url']} " in first["source"]
    assert f"%cd /content/book/{folder}\n" in first["source"]


def test_setup_cell_is_short_and_asks_for_double_precision(chapter):
    setup = cells(chapter, "code")[1]["source"]
    assert len([line for line in setup.splitlines() if line]) <= 6
    assert 'jax.config.update("jax_enable_x64", True)' in setup


def test_code_fits_the_page(chapter):
    for cell in cells(chapter, "code")[1:]:
        long = [line for line in cell["source"].splitlines() if len(line) > 88]
        assert not long, "code lines of at most 88 characters"


def test_no_latex_macros_and_colon_fences(chapter):
    assert not re.search(r"\\(re)?newcommand|\\def\\", text(chapter))
    assert not re.search(r"^`{3,}\{(?!code-block)", text(chapter), re.MULTILINE)
