"""Write the problem sets of coursework/ for a course: the student's copy, the solution, and an nbgrader folder.

    NTK_COURSE_SEED=2026 python tools/assignments.py [chapter …]

The course seed, 0 if it is not set, fixes the data and constants of all copies. nbgrader makes the copies and runs the
solution.
"""

import argparse
import logging
import os
import shutil
import sys
from pathlib import Path

import nbformat
import yaml
from nbgrader.converters import GenerateAssignment, GenerateSolution
from nbgrader.coursedir import CourseDirectory
from traitlets.config import PyFileConfigLoader

ROOT = Path(__file__).parents[1]
COURSEWORK = ROOT / "coursework"
COLAB = """\
# On Colab, install the book's library; elsewhere this does nothing.
import sys
if "google.colab" in sys.modules:
    %pip install --quiet git+{url}"""
README = """\
# {title}

Course seed {seed}.

* `student/` holds the notebook to hand out, without solutions and hidden tests.
* `solution/` holds it with solutions, hidden tests and outputs; the written answers say what earns which points.
* `autograder/` is a course folder of nbgrader. Move it out of `_build` before you collect answers.

To grade, activate the book's environment, go to the course folder, put each answer at
`submitted/<student>/{chapter}/{chapter}.ipynb`, and

1. run all tests (again after a change: add `--force`):
   `nbgrader autograde {chapter}`
2. mark the written answers, in the menu Nbgrader > Formgrader of
   `jupyter lab`
3. write one page per student into `feedback/`, and all points into `grades.csv`:
   `nbgrader generate_feedback {chapter} && nbgrader export`
"""


def chapters() -> list[str]:
    """The chapters that have a problem set."""
    return sorted(path.name for path in (COURSEWORK / "source").iterdir() if path.is_dir())


def course_seed() -> int:
    """The course seed of the environment."""
    value = os.environ.get("NTK_COURSE_SEED", "0")
    if not (value.isascii() and value.isdigit() and len(value) <= 9):
        raise SystemExit(
            f"NTK_COURSE_SEED must be a whole number from 0 to 999999999: got {value!r}. Write, for example, "
            "NTK_COURSE_SEED=2026 make assignments."
        )
    return int(value)


def for_course(notebook: nbformat.NotebookNode, seed: int) -> nbformat.NotebookNode:
    """The source notebook with the course seed written in, and with a cell for Colab."""
    url = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    (seed_cell,) = [cell for cell in notebook.cells if cell.id == "course-seed"]
    seed_cell.source = f"COURSE_SEED = {seed}"
    notebook.cells.insert(1, nbformat.v4.new_code_cell(COLAB.format(url=url), id="colab"))
    return notebook


def write_course(chapter: str, seed: int, course: Path) -> None:
    """A course folder of nbgrader with one assignment: its source, the student's copy and the executed solution."""
    source = course / "source" / chapter
    source.mkdir(parents=True, exist_ok=True)
    notebook = nbformat.read(COURSEWORK / "source" / chapter / f"{chapter}.ipynb", as_version=4)
    nbformat.write(for_course(notebook, seed), source / f"{chapter}.ipynb")
    shutil.copy(COURSEWORK / "nbgrader_config.py", course)
    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    config.CourseDirectory.root = str(course)
    for convert in (GenerateAssignment, GenerateSolution):
        convert(coursedir=CourseDirectory(config=config, assignment_id=chapter), config=config, force=True).start()


def failures(notebook: nbformat.NotebookNode) -> list[str]:
    """The cells of an executed notebook that ended in an error."""
    outputs = [(cell, output) for cell in notebook.cells for output in cell.get("outputs", [])]
    return [cell.id for cell, output in outputs if output.output_type == "error"]


def write(chapter: str, seed: int, out: Path) -> None:
    """All that belongs to one problem set."""
    course, name = out / "autograder", f"{chapter}.ipynb"
    if (course / "submitted").exists():
        raise SystemExit(f"{course / 'submitted'} holds answers to the copies made before. Move {out} away first.")
    write_course(chapter, seed, course)
    for step, folder in (("release", "student"), ("solution", "solution")):
        shutil.copytree(course / step / chapter, out / folder, dirs_exist_ok=True)
    solution = nbformat.read(out / "solution" / name, as_version=4)
    if failed := failures(solution):
        raise SystemExit(f"The solution of {chapter} fails with course seed {seed}, in the cells {', '.join(failed)}.")
    title = solution.cells[0].source.splitlines()[0].removeprefix("# ")
    readme = README.format(title=title, seed=seed, chapter=chapter)
    (out / "README.md").write_text(readme, encoding="utf-8")


def main() -> None:
    """Write the problem sets that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapters", nargs="*", help="default: all that have a problem set")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "assignments", help="folder to write into")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.chapters) - set(chapters())):
        raise SystemExit(
            f"CHAPTERS must name chapters that have a problem set: got {', '.join(map(repr, unknown))}. "
            f"Write one or more of {', '.join(chapters())}."
        )
    seed = course_seed()
    logging.basicConfig(level=logging.ERROR)
    os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]  # nbgrader calls alembic
    for chapter in arguments.chapters or chapters():
        out = arguments.out.resolve() / chapter
        write(chapter, seed, out)
        print(f"Wrote {out}, with course seed {seed}.")


if __name__ == "__main__":
    main()
