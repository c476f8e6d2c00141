"""Result files: what is kept, and what is said when a file is missing or damaged."""

import json
import re

import numpy as np
import pytest

from ntklib import results

PARAMETERS = {"depth": 4, "widths": [500, 10_000], "seeds": "0 to 9"}
PROVENANCE = {"date": "2024-05-06", "seconds": 12}
ARRAYS = {
    "table": np.array([[1.0, -2.5e-30], [3e20, 0.1]]),
    "number": np.array(np.pi),
    "none": np.zeros((0, 3)),
    "counts": np.arange(3),
}
REMAKE = "make experiments"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "result.json"
    results.save(path, PARAMETERS, PROVENANCE, ARRAYS)
    return path


def test_what_is_saved_is_loaded(path):
    parameters, provenance, arrays = results.load(path, remake=REMAKE)
    assert (parameters, provenance) == (PARAMETERS, PROVENANCE)
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert arrays[name].shape == array.shape and arrays[name].dtype == float
        np.testing.assert_allclose(arrays[name], array, rtol=5.1e-7)  # seven digits


def test_float32_arrays_are_kept_exactly_enough_to_be_told_apart(path):
    array = np.random.default_rng(0).normal(size=100).astype(np.float32)
    results.save(path, {}, {}, {"a": array})
    loaded = results.load(path, remake=REMAKE).arrays["a"]
    np.testing.assert_allclose(loaded, array, rtol=5.1e-7)


def test_the_file_is_readable_json_with_one_line_per_array(path):
    assert set(json.loads(path.read_text())) == {"parameters", "provenance", "sha256", "arrays"}
    assert sum(line.startswith('  "') for line in path.read_text().splitlines()) == len(ARRAYS)


def test_saving_twice_gives_the_same_bytes_and_leaves_one_file(path):
    before = path.read_bytes()
    results.save(str(path), PARAMETERS, PROVENANCE, ARRAYS)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_saved_leaves_the_old_file(path):
    before = path.read_bytes()
    with pytest.raises(TypeError):
        results.save(path, {"network": object()}, PROVENANCE, ARRAYS)
    with pytest.raises((TypeError, ValueError)):
        results.save(path, PARAMETERS, PROVENANCE, {"words": np.array(["a"])})
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]


def test_a_missing_file_is_said_to_be_missing_and_how_to_make_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"file gone\.json is missing\. Run `make experiments` to make it\."):
        results.load(tmp_path / "gone.json", remake=REMAKE)
    with pytest.raises(FileNotFoundError):
        results.load(tmp_path, remake=REMAKE)
    assert list(tmp_path.iterdir()) == []


def changed(content: bytes) -> dict[str, bytes]:
    """Ways to damage a file."""
    document = json.loads(content)

    def without(key):
        return json.dumps({k: v for k, v in document.items() if k != key}).encode()

    def with_table(table):
        return json.dumps(document | {"arrays": document["arrays"] | {"table": table}}).encode()

    return {
        "empty": b"",
        "cut off": content[:-20],
        "not text": b"\xff\xfe" + content,
        "no object": b"[1, 2]",
        "one digit": content.replace(b"3.141593", b"3.141592"),
        "no arrays": without("arrays"),
        "no checksum": without("sha256"),
        "no parameters": without("parameters"),
        "no provenance": without("provenance"),
        "other shape": with_table({"shape": [5], "values": [1, 2, 3, 4]}),
        "no values": with_table({"shape": [2]}),
        "words": with_table({"shape": [1], "values": ["many"]}),
        "a list": with_table([1, 2]),
        "another array": json.dumps(document | {"arrays": {"more": {"shape": [1], "values": [1]}}}).encode(),
    }


@pytest.mark.parametrize("damage", sorted(changed(b'{"arrays": {}}')))
def test_a_damaged_file_is_refused_and_left_as_it_is(path, damage):
    content = changed(path.read_bytes())[damage]
    assert content != path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        results.load(path, remake=REMAKE)
    sentence = r"The result file result\.json is damaged: .+\. Move it away and run `make experiments` to make it .*\."
    assert re.fullmatch(sentence, str(caught.value))
    assert path.read_bytes() == content and list(path.parent.iterdir()) == [path]


def test_provenance_names_versions_and_hardware():
    record = results.provenance(12.6, "2024-05-06")
    assert record["date"] == "2024-05-06" and record["seconds"] == 13
    assert re.fullmatch(r".+, \d+ cores", record["hardware"])
    assert set(record["versions"]) == {"python", "jax", "numpy"}
    json.dumps(record)
