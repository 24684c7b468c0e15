"""The benchmark: every case is what it says, accuracies are real, and a page can be written from the figures."""

import json
from pathlib import Path

import numpy as np
import pytest

import regmax
from regmax import bench
from regmax.bench import cases, groups, libraries, table
from regmax.bench.contender import Contender
from regmax.cli import main
from regmax.verify.subject import measure

from .cli import complaint
from .cli import empty_folder as empty_folder  # runs around every test


@pytest.mark.parametrize("group", groups())
def test_cases_say_what_they_are(group):
    labels = [case.label for case in cases(group)]
    assert len(set(labels)) == len(labels) > 0
    for case in cases(group):
        if np.prod(case.shape) > 300_000:
            continue
        x = case.rows()
        assert (x.shape, str(x.dtype)) == (case.shape, case.dtype), case.label
        np.testing.assert_array_equal(x, case.rows())
        violation, gap = measure(case.operator, x, case.operator(x))
        allowed = 1e-12 if case.dtype == "float64" else 1e-5
        assert gap.max() <= allowed, case.label
        assert violation.max() <= allowed, case.label


def small(operator, name="noise, lam 1", shape=(3, 40)):
    return bench.Case("prox.tv", name, operator, lambda: np.random.default_rng(0).normal(size=shape), shape)


@pytest.mark.parametrize(
    "operator",
    [
        regmax.Softmax(),
        regmax.Sparsemax(),
        regmax.Entmax(1.5),
        regmax.Entmax(1.3),
        regmax.Fusedmax(0.1),
        regmax.prox.TV(1.0),
        regmax.prox.Isotonic(),
        regmax.prox.Oscar(0.0, 0.01),
        regmax.prox.Slope(np.linspace(1, 0, 40)),
        regmax.prox.Simplex(),
        regmax.prox.TV2D(0.3, shape=(4, 10)),
        regmax.prox.GraphTV(np.stack([np.arange(39), np.arange(1, 40)], axis=1), 0.3),
    ],
    ids=lambda operator: operator.name,
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of other packages
def test_the_libraries_are_asked_the_same_question(operator):
    """Each that is installed must give our answer, or the table compares apples with pears."""
    case = small(operator, shape=(1, 40) if operator.name in ("prox.tv2d", "prox.graph_tv") else (3, 40))
    x = case.rows()
    before = x.copy()
    found = libraries.contenders(case, x)
    assert found[0].name == "regmax"
    for contender in found:
        y = np.asarray(contender.call())
        if contender.answers:
            asked_for = 1e-2 if contender.name in ("prox_tv DR 35", "pycut_pursuit 1e-04") else 1e-6
            np.testing.assert_allclose(y, operator(x), atol=asked_for, err_msg=contender.name)
    np.testing.assert_array_equal(x, before)


def test_the_accuracy_is_that_of_the_answer(monkeypatch):
    def with_a_wrong_one(case, x):
        yield Contender("wrong", lambda: case.operator(x) + 0.1)
        yield Contender("broken", lambda: 1 / 0)
        yield Contender("yardstick", lambda: x.copy(), answers=False)

    monkeypatch.setattr(libraries, "LIBRARIES", {"numpy": ("numpy", with_a_wrong_one)})
    line = table.measure_case(small(regmax.prox.TV(1.0)), 1, 0.01)
    assert line.cell("regmax").gap <= 1e-15
    assert line.cell("regmax").runs >= 5
    assert line.cell("wrong").gap > 1e-4
    assert line.cell("yardstick").gap is None
    assert (line.cell("broken").failed, line.cell("broken").seconds) == ("ZeroDivisionError", None)
    assert line.fastest_other.library == "wrong"
    assert "broken" in table.text([line])
    assert "ZeroDivisionError" in table.text([line])


def test_a_library_that_is_not_there_is_left_out_and_named(monkeypatch):
    def absent(case, x):
        import a_package_that_does_not_exist  # noqa: F401

        yield

    monkeypatch.setattr(libraries, "LIBRARIES", {"nothing": ("no-such-package", absent)})
    assert [c.name for c in libraries.contenders(small(regmax.Sparsemax()), np.zeros((1, 3)))] == ["regmax"]
    assert libraries.installed() == {"no-such-package": None}


def test_figures_page_and_picture(capsys):
    threads = regmax.get_num_threads()
    arguments = ["--threads", "1,2", "--seconds", "0.001", "--json", "f.json", "--page", "page.md"]
    assert main(["bench", "--group", "one call", *arguments]) == 0
    assert regmax.get_num_threads() == threads
    assert "one call: softmax, 1x8 (2 threads)" in capsys.readouterr().out
    found = json.loads(Path("f.json").read_text())
    assert {line["threads"] for line in found["lines"]} == {1, 2}
    page = Path("page.md").read_text()
    assert page.count("| softmax, 1x8 |") == 2
    assert found["machine"] in page
    # A page from the figures alone is the same page.
    assert main(["bench", "--from", "f.json", "--page", "again.md"]) == 0
    assert Path("again.md").read_text() == page


def test_the_picture_is_drawn_from_figures(capsys):
    cells = [table.Measured("regmax", 1e-3, 5, 1e-16, 0.0), table.Measured("copy", 1e-4, 5)]
    lines = [table.Line("scaling", f"softmax, 1x{n}", 1, n, "float64", 1, cells) for n in (16, 64)]
    for kind, head in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        bench.page.draw(lines, f"picture.{kind}", kind)
        assert Path(f"picture.{kind}").read_bytes().startswith(head)


def test_what_there_is(capsys):
    assert main(["bench", "--list"]) == 0
    out = capsys.readouterr().out
    assert all(group in out for group in groups())
    assert "prox-tv" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--group", "nothing"], "there is no table 'nothing'; there are softmax, sparsemax"),
        (["--from", "missing.json"], "cannot read missing.json (No such file or directory)"),
        (["--from", __file__], "holds no figures"),
        (["--threads", "0"], "argument --threads: must be whole numbers above 0"),
        (["--json", "no/f.json", "--list", "--seconds", "x"], "argument --seconds: must be a number above 0"),
        (["--json", "no/f.json"], "the folder "),
        (["--group", "one call", "--plot", "p.png"], "--plot needs the table scaling"),
        (["--json", "f", "--page", "f"], "--json and --page name the same file"),
    ],
)
def test_bad_input_is_one_sentence(capsys, arguments, words):
    assert words in complaint(capsys, ["bench", *arguments], "regmax bench")


@pytest.mark.parametrize("broken", [{"libraries": "none"}, {"date": None}, {"lines": [{}]}])
def test_figures_of_another_kind(capsys, broken):
    found = {"date": "", "machine": "", "command": "", "regmax": "", "libraries": {}, "lines": [], **broken}
    Path("f.json").write_text(json.dumps(found))
    assert "holds no figures" in complaint(capsys, ["bench", "--from", "f.json", "--page", "p.md"], "regmax bench")
