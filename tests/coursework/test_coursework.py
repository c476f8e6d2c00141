"""The problem sets: they can be solved, a wrong answer loses its points, and no solution gets out."""

import ast
import html
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import nbformat
import pytest
from nbclient import NotebookClient
from nbgrader.api import Gradebook
from nbgrader.utils import determine_grade

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
CHAPTERS = sorted(path.name for path in (ROOT / "coursework" / "source").iterdir())
WRONG_ANSWERS = Path(__file__).parent / "wrong_answers"
MISTAKES = {c: tomllib.loads((WRONG_ANSWERS / f"{c}.toml").read_text(encoding="utf-8")) for c in CHAPTERS}
ANSWERS = [(chapter, answer) for chapter in MISTAKES for answer in MISTAKES[chapter]]
WRONG = [(chapter, answer, mistake["mistake"]) for chapter, answer in ANSWERS for mistake in MISTAKES[chapter][answer]]
SEED = 7


def source(chapter):
    return nbformat.read(ROOT / "coursework" / "source" / chapter / f"{chapter}.ipynb", as_version=4)


def cell(notebook, name):
    (found,) = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == name]
    return found


def graded(notebook, *, solution):
    """The cells that carry points: written answers (solution=True) or tests."""
    marks = [(cell, cell.metadata.get("nbgrader", {})) for cell in notebook.cells]
    return {mark["grade_id"]: cell for cell, mark in marks if mark.get("grade") and mark["solution"] == solution}


def points(notebook, *, solution=False):
    return {name: cell.metadata.nbgrader.points for name, cell in graded(notebook, solution=solution).items()}


def scores(notebook):
    """What nbgrader gives for the tests of an executed notebook."""
    return {name: determine_grade(cell)[0] for name, cell in graded(notebook, solution=False).items()}


def wrong(chapter, answer, mistake):
    """The model solution with one mistake."""
    (change,) = [m for m in MISTAKES[chapter][answer] if m["mistake"] == mistake]
    solution = cell(source(chapter), answer).source
    assert change["right"] in solution, f"the solution of {answer} no longer holds {change['right']!r}"
    return solution.replace(change["right"], change["wrong"])


# Everything runs without the user's files: home, configuration and logs are temporary. What jax has compiled is shared,
# because the kernels of all submissions run the same tests.


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    folders = ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    own = {name: str(home / name.lower()) for name in folders}
    for folder in own.values():
        Path(folder).mkdir()
    path = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
    inherited = {name: value for name, value in os.environ.items() if name != "NTK_COURSE_SEED"}
    cache = {"JAX_COMPILATION_CACHE_DIR": str(home / "jax"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    return cache | inherited | own | {"PATH": path, "JAX_PLATFORMS": "cpu"}


def for_each_chapter(task):
    """The results by chapter; two chapters at a time."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(CHAPTERS, pool.map(task, CHAPTERS), strict=True))


@pytest.fixture(scope="module")
def made(environment, tmp_path_factory):
    """What `make assignments` writes, one folder a chapter."""
    out = tmp_path_factory.mktemp("assignments")

    def make(chapter):
        command = [sys.executable, ROOT / "tools" / "assignments.py", chapter, "--out", out]
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return out / chapter

    return for_each_chapter(make)


# Submissions, graded by the command of the README in a course folder that was moved away.


class Course(NamedTuple):
    """A graded course: nbgrader's exit code and messages, and the points by student and cell."""

    returncode: int
    messages: str
    scores: dict[str, dict[str, float | None]]


def right(chapter, student):
    """The student's copy with every answer right; the written ones are left empty."""
    for _, answer in [pair for pair in ANSWERS if pair[0] == chapter]:
        cell(student, answer).source = cell(source(chapter), answer).source
    return student


def with_mistakes(chapter, student, answers):
    for answer in answers:
        cell(student, answer).source = wrong(chapter, answer, MISTAKES[chapter][answer][0]["mistake"])
    return student


def unruly(chapter, student):
    """Exits in the first answer, fails in the second, warns in the third, and has lost the third one's test."""
    first, second, third = [answer for c, answer in ANSWERS if c == chapter][:3]
    cell(student, first).source = "import sys\nsys.exit()"
    cell(student, second).source = "raise RuntimeError('no idea')"
    definition, body = cell(student, third).source.split("### BEGIN SOLUTION\n")
    warning = "import warnings\n    warnings.warn('close to a rounding error', stacklevel=1)\n"
    cell(student, third).source = f"{definition}{warning}{body}"
    student.cells.remove(cell(student, f"{third}-test"))
    return student


def submissions(chapter, made):
    def student():
        return nbformat.read(made[chapter] / "student" / f"{chapter}.ipynb", as_version=4)

    answers = [answer for c, answer in ANSWERS if c == chapter]
    dead = student()
    dead.cells.insert(0, nbformat.v4.new_code_cell("import os\n\nos._exit(1)"))
    return {
        "ada": right(chapter, student()),
        "blank": student(),
        "dead": dead,
        "even": with_mistakes(chapter, right(chapter, student()), answers[0::2]),
        "odd": with_mistakes(chapter, right(chapter, student()), answers[1::2]),
        "unruly": unruly(chapter, right(chapter, student())),
    }


@pytest.fixture(scope="module")
def courses(environment, made, tmp_path_factory):
    def grade(chapter):
        course = tmp_path_factory.mktemp("elsewhere") / "course"
        shutil.copytree(made[chapter] / "autograder", course)
        handed_in = submissions(chapter, made)
        for student, notebook in handed_in.items():
            folder = course / "submitted" / student / chapter
            folder.mkdir(parents=True)
            nbformat.write(notebook, folder / f"{chapter}.ipynb")
        run = subprocess.run(
            ["nbgrader", "autograde", chapter], cwd=course, env=environment, capture_output=True, text=True
        )
        return Course(run.returncode, run.stderr, recorded(course, chapter, handed_in))

    return for_each_chapter(grade)


def recorded(course, chapter, students):
    with Gradebook(f"sqlite:///{course}/gradebook.db") as gradebook:
        grades = {s: gradebook.find_submission_notebook(chapter, chapter, s).grades for s in students}
        return {student: {grade.name: grade.auto_score for grade in of} for student, of in grades.items()}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_right_answers_get_all_points(courses, chapter):
    found = courses[chapter].scores["ada"]
    assert {name: found[name] for name in points(source(chapter))} == points(source(chapter))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_untouched_copy_gets_nothing(courses, chapter):
    assert set(courses[chapter].scores["blank"].values()) == {0}


@pytest.mark.parametrize("chapter, answer", ANSWERS)
def test_wrong_answer_loses_its_points_and_no_others(courses, chapter, answer):
    answers = [a for c, a in ANSWERS if c == chapter]
    student = ("even", "odd")[answers.index(answer) % 2]
    wrong_ones = answers[answers.index(answer) % 2 :: 2]
    expected = {
        name: 0 if name.removesuffix("-test") in wrong_ones else p for name, p in points(source(chapter)).items()
    }
    assert {name: courses[chapter].scores[student][name] for name in expected} == expected
    assert expected[f"{answer}-test"] == 0


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_exits_errors_warnings_and_a_lost_test_cost_only_what_they_must(courses, chapter):
    first, second = [f"{a}-test" for c, a in ANSWERS if c == chapter][:2]
    expected = {name: 0 if name in (first, second) else p for name, p in points(source(chapter)).items()}
    assert {name: courses[chapter].scores["unruly"][name] for name in expected} == expected


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_answer_that_kills_its_kernel_is_named_and_the_others_are_graded(courses, chapter):
    assert courses[chapter].returncode != 0 and "for student 'dead'" in courses[chapter].messages
    assert not any(courses[chapter].scores["dead"].values())


# More wrong answers, and another course seed: one kernel per chapter.


class Trial(NamedTuple):
    """What the data cell prints, and the points of each mistake; of the right answer afterwards (mistake None)."""

    data: str
    points: dict[tuple[str, str | None], float]


@pytest.fixture(scope="module")
def trials(environment):
    def run(chapter):
        notebook, found = source(chapter), {}
        client = NotebookClient(notebook, allow_errors=True, timeout=120)
        with client.setup_kernel(env=environment | {"NTK_COURSE_SEED": str(SEED)}):
            for index, current in enumerate(notebook.cells):
                name = current.metadata.get("nbgrader", {}).get("grade_id", "")
                if current.cell_type == "code" and not name.endswith("-test"):
                    client.execute_cell(current, index)
                mistakes = [m["mistake"] for m in MISTAKES[chapter].get(name, [])]
                for mistake in [*mistakes, None] if mistakes else []:
                    found[name, mistake] = tried(client, notebook, chapter, name, mistake)
        return Trial(printed(notebook), found)

    return for_each_chapter(run)


def tried(client, notebook, chapter, answer, mistake):
    test = cell(notebook, f"{answer}-test")
    index = notebook.cells.index(test)
    code = wrong(chapter, answer, mistake) if mistake else cell(source(chapter), answer).source
    client.execute_cell(nbformat.v4.new_code_cell(code), index)
    client.execute_cell(test, index)
    return determine_grade(test)[0]


def printed(notebook):
    return "".join(output.get("text", "") for output in cell(notebook, "data").outputs)


@pytest.mark.parametrize("chapter, answer, mistake", WRONG)
def test_mistake_costs_the_points(trials, chapter, answer, mistake):
    assert trials[chapter].points[answer, mistake] == 0


@pytest.mark.parametrize("chapter, answer", ANSWERS)
def test_right_answer_gets_the_points_with_another_seed(trials, chapter, answer):
    assert trials[chapter].points[answer, None] == points(source(chapter))[f"{answer}-test"]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_another_seed_gives_other_data(made, trials, chapter):
    mine = printed(nbformat.read(made[chapter] / "solution" / f"{chapter}.ipynb", as_version=4))
    assert mine.startswith("course seed 0,") and trials[chapter].data.startswith(f"course seed {SEED},")
    assert mine.split("first")[1] != trials[chapter].data.split("first")[1]


# What a lecturer gets.


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_solution_is_executed_without_errors(made, chapter):
    solution = nbformat.read(made[chapter] / "solution" / f"{chapter}.ipynb", as_version=4)
    assert scores(solution) == points(source(chapter))
    assert all(cell.execution_count for cell in solution.cells if cell.cell_type == "code")
    outputs = [output for cell in solution.cells for output in cell.get("outputs", [])]
    assert all(output.output_type == "stream" and output.name == "stdout" for output in outputs)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_readme_says_how_to_grade(made, chapter):
    readme = (made[chapter] / "README.md").read_text(encoding="utf-8")
    assert f"nbgrader autograde {chapter}" in readme and "Course seed 0" in readme
    assert str(ROOT) not in readme


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    return importlib.import_module("assignments")


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_course_seed_is_written_into_the_copies(tool, monkeypatch, chapter):
    monkeypatch.setenv("NTK_COURSE_SEED", "2026")
    copy = tool.for_course(source(chapter), tool.course_seed())
    assert cell(copy, "course-seed").source == "COURSE_SEED = 2026"


def complaint(tool, monkeypatch, *arguments, seed="0"):
    monkeypatch.setattr(sys, "argv", ["assignments.py", *arguments])
    monkeypatch.setenv("NTK_COURSE_SEED", seed)
    with pytest.raises(SystemExit) as stop:
        tool.main()
    return str(stop.value)


def test_unknown_chapter_is_named_and_so_are_the_known(tool, monkeypatch):
    message = complaint(tool, monkeypatch, CHAPTERS[0], "no_such_chapter")
    assert message.startswith("CHAPTERS must name") and "got 'no_such_chapter'" in message
    assert all(chapter in message for chapter in CHAPTERS)


@pytest.mark.parametrize("seed", ["tomorrow", "-1", "1.5", ""])
def test_course_seed_must_be_a_number(tool, monkeypatch, seed):
    message = complaint(tool, monkeypatch, seed=seed)
    assert message.startswith("NTK_COURSE_SEED must be a whole number") and f"got {seed!r}" in message


def test_answers_are_never_overwritten(tool, monkeypatch, tmp_path):
    (tmp_path / CHAPTERS[0] / "autograder" / "submitted").mkdir(parents=True)
    assert "Move" in complaint(tool, monkeypatch, CHAPTERS[0], "--out", str(tmp_path))


# The form of the problem sets.


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_points_and_minutes_agree_everywhere(chapter):
    notebook = source(chapter)
    rows = re.findall(r"^\| \d\. (.+?) \| (\d+) \| (\d+) \|", notebook.cells[0].source, re.MULTILINE)
    headings = re.findall(
        r"^## Problem \d\. (.+?) \((\d+) points, (\d+) minutes\)$",
        "\n".join(cell.source for cell in notebook.cells),
        re.MULTILINE,
    )
    assert rows == headings and 4 <= len(rows) <= 5
    total, minutes = (sum(int(row[column]) for row in rows) for column in (1, 2))
    assert f"| **together** | **{total}** | **{minutes}** | |" in notebook.cells[0].source
    by_tests, written = (sum(points(notebook, solution=solution).values()) for solution in (False, True))
    assert by_tests + written == total and by_tests >= total / 2 and written > 0
    lecturers_page = (ROOT / "book" / "start" / "teach.md").read_text(encoding="utf-8")
    assert f"\n| `{chapter}` | {total} | {minutes} | {by_tests} | {written} |" in lecturers_page


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_source_is_in_nbgraders_format(chapter):
    notebook = source(chapter)
    marks = [cell.metadata.nbgrader for cell in notebook.cells if "nbgrader" in cell.metadata]
    assert all(mark.schema_version == 3 for mark in marks)
    assert len({mark.grade_id for mark in marks}) == len(marks)
    assert set(points(notebook)) == {f"{answer}-test" for c, answer in ANSWERS if c == chapter}
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert 'jax.config.update("jax_enable_x64", True)' in first.source
    assert not any(cell.get("outputs") for cell in notebook.cells)


# Nothing of a solution gets out.


def squeezed(text):
    return re.sub(r"\s+", "", text)


def secrets(chapter):
    """The lines that only the lecturer sees: of solutions, hidden tests and written answers."""
    notebook = source(chapter)
    written = graded(notebook, solution=True).values()
    between = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS)\n(.*?)### END \1", re.DOTALL)
    texts = [match[2] for cell in notebook.cells for match in between.finditer(cell.source)]
    lines = {squeezed(line) for text in texts + [cell.source for cell in written] for line in text.splitlines()}
    open_to_all = squeezed("".join(between.sub("", cell.source) for cell in notebook.cells if cell not in written))
    return {line for line in lines if len(line) >= 30 and line not in open_to_all and "import" not in line}


def folded_solutions(chapter):
    (path,) = (ROOT / "book").rglob(f"{chapter}.ipynb")
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    found = re.findall(r"^:::\{solution\}.*?^:::$", text, re.MULTILINE | re.DOTALL)
    return {line for block in found for line in map(squeezed, block.splitlines()) if len(line) >= 30}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_student_copy_holds_no_solution(made, chapter):
    student = nbformat.read(made[chapter] / "student" / f"{chapter}.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in student.cells)
    assert not re.search("(BEGIN|END) (SOLUTION|HIDDEN)", text)
    assert not {line for line in secrets(chapter) | folded_solutions(chapter) if line in squeezed(text)}
    assert len(secrets(chapter)) > 30 and len(folded_solutions(chapter)) > 5
    assert not any(cell.get("outputs") for cell in student.cells)
    for answer in MISTAKES[chapter]:
        assert isinstance(ast.parse(cell(student, answer).source).body[0], ast.FunctionDef)
        assert "raise NotImplementedError" in cell(student, answer).source


def visible(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return html.unescape(re.sub(r"<[^>]+>", "", text)) if path.suffix == ".html" else text


@pytest.mark.skipif(not (SITE / "searchindex.js").exists(), reason="The site is not built: run `make book` first.")
def test_site_holds_no_solution():
    files = [path for path in SITE.rglob("*") if path.suffix in {".html", ".ipynb", ".md", ".js", ".py"}]
    pages = {path: squeezed(visible(path)) for path in files if "mathjax" not in path.parts}
    lines = {line for chapter in CHAPTERS for line in secrets(chapter)}
    assert not [(path.name, line) for path, text in pages.items() for line in lines if line in text]
    assert not [path for path in files if "coursework" in path.relative_to(SITE).parts]
    index = (SITE / "searchindex.js").read_text(encoding="utf-8")
    assert "coursework/" not in index
