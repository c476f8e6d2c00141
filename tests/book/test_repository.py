"""The tree: one set of versions, one address, no registry's host, nothing unfinished."""

import re
import subprocess

import pytest
import yaml
from contents import CONFIG, PAGES, ROOT

FILES = [
    ROOT / name
    for name in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    if name and (ROOT / name).is_file()
]
OURS = [path for path in FILES if "mathjax" not in path.parts]
TEXTS = [path for path in OURS if path.suffix not in {".png", ".npz", ".woff"}]


def read(path):
    return path.read_text(encoding="utf-8")


def pins(name):
    return set(
        re.findall(
            r"^([A-Za-z0-9][\w.-]*==\S+(?: ; [^\\\n]+?)?)(?= *\\?$)", read(ROOT / "requirements" / name), re.MULTILINE
        )
    )


def test_conda_environment_has_the_versions_of_the_lock():
    environment = yaml.safe_load(read(ROOT / "environment.yml"))
    of_pip = environment["dependencies"][-1]["pip"]
    assert set(of_pip) == pins("book.txt") | {"-e ."}


def test_test_environment_contains_that_of_the_book():
    without_markers = [{pin.split(" ; ")[0] for pin in pins(name)} for name in ("book.txt", "dev.txt")]
    assert without_markers[0] <= without_markers[1]


@pytest.mark.parametrize("name", ["book.txt", "dev.txt"])
def test_every_requirement_has_hashes(name):
    requirements = re.split(r"\n(?=[A-Za-z0-9])", read(ROOT / "requirements" / name).strip())
    assert len(requirements) == len(pins(name))
    assert all("--hash=sha256:" in requirement for requirement in requirements)


def test_library_has_ranges_not_pins():
    project = re.search(r"^dependencies = \[(.*?)\]$", read(ROOT / "pyproject.toml"), re.MULTILINE | re.DOTALL)[1]
    assert ">=" in project and "==" not in project


def test_no_registry_host_in_any_file():
    hosts = [
        "pypi." + "org",
        "pythonhosted." + "org",
        "registry.npmjs." + "org",
        "deb.debian." + "org",
        "anaconda." + "org",
    ]
    assert not [(path.name, host) for path in TEXTS for host in hosts if host in read(path)]


def test_nothing_unfinished():
    words = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]))
    assert not [
        path.name for path in TEXTS if path.suffix in {".py", ".md", ".yml", ".ipynb"} and words.search(read(path))
    ]


def test_every_page_of_the_contents_exists_and_every_page_is_in_the_contents():
    on_disk = {
        path.relative_to(ROOT).with_suffix("").as_posix()
        for suffix in ("md", "ipynb")
        for path in (ROOT / "book").rglob(f"*.{suffix}")
        if not {"_static", ".ipynb_checkpoints"} & set(path.parts)
    }
    assert on_disk == set(PAGES)


def test_one_address():
    url = CONFIG["repository"]["url"]
    owner = url.removeprefix("https://github.com/").split("/")[0]
    elsewhere = {match for path in TEXTS for match in re.findall(r"github\.com/" + owner + r"/[\w-]+", read(path))}
    assert elsewhere == {url.removeprefix("https://")}


def test_actions_are_pinned_by_hash():
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        for action in re.findall(r"uses: (\S+)", read(workflow)):
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", action)


def test_large_files_stay_out():
    assert not [path.name for path in FILES if path.stat().st_size > 3_000_000]
