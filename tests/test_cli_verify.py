"""`regmax verify` as a user types it."""

import json
import re
import shlex
from pathlib import Path

import pytest

from regmax.cli import main

from .cli import complaint
from .cli import empty_folder as empty_folder  # runs around every test

QUICK = ("--size", "1,3", "--cases", "2")


def test_one_operator_passes(capsys):
    assert main(["verify", "--op", "sparsemax", *QUICK]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^sparsemax +\d+ .* pass$", out, re.MULTILINE)
    assert "Everything passes" in out


def test_reports(capsys):
    assert main(["verify", "--op", "prox.tv,sparsemax", *QUICK, "--json", "r.json", "--html", "r.html"]) == 0
    found = json.loads(Path("r.json").read_text())
    assert found["passed"]
    assert [line["name"] for line in found["operators"]] == ["prox.tv", "sparsemax"]
    assert len(found["measurements"]) == sum(line["cases"] for line in found["operators"])
    page = Path("r.html").read_text()
    assert page.count("<svg") == 3
    assert "Everything passes" in page
    # Offline: nothing is fetched; SVG namespaces are names, not addresses.
    assert not re.search(r"(src|href)=\"https?:|@import|<script|<link", page)


def test_a_failure_repeats_and_its_exit_code_is_1(capsys):
    solver = ("--solver", "regmax:oscarmax_published")
    assert main(["verify", "--op", "oscarmax", *QUICK, *solver, "--json", "r.json"]) == 1
    assert "FAIL" in capsys.readouterr().out
    failure = json.loads(Path("r.json").read_text())["failures"][0]
    words = shlex.split(failure["line"])
    assert words[:2] == ["regmax", "verify"]
    assert main(words[1:]) == 1
    assert failure["what"] in capsys.readouterr().out


def test_a_solver_beside_the_user(capsys):
    Path("mine.py").write_text(
        "import numpy as np, regmax\ndef good(x, gamma):\n    return regmax.sparsemax(x, gamma=gamma)\n"
        "def slow(x):\n    import time\n    time.sleep(60)\n"
    )
    assert main(["verify", "--op", "sparsemax", *QUICK, "--solver", "mine:good"]) == 0
    case = ("--case", "sparsemax/0/3/ties/float64/plain")
    assert main(["verify", *case, "--solver", "mine:slow", "--timeout", "0.5"]) == 1
    assert "takes more than 0.5 s" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--op", "nomax"), "there is no operator 'nomax'; there are "),
        (("--solver", "a:b"), "--solver needs one operator to be judged against: name it with --op"),
        (("--op", "sparsemax", "--solver", "nowhere:f"), "nowhere:f cannot be imported (ModuleNotFoundError"),
        (("--op", "sparsemax", "--solver", "os:sep"), "os:sep is not a function"),
        (("--op", "sparsemax", "--solver", "x"), "a solver must be named package.module:function, got 'x'"),
        (("--size", "0"), "argument --size: must be whole numbers above 0, with commas between, got '0'"),
        (("--cases", "x"), "argument --cases: must be a whole number above 0, got 'x'"),
        (("--tol", "-1"), "argument --tol: must be a number above 0, got '-1'"),
        (("--timeout", "nan"), "argument --timeout: must be a number above 0, got 'nan'"),
        (("--case", "sparsemax"), "a case must read operator/sample/size/family/dtype/layout"),
        (("--case", "sparsemax/0/3/nofamily/float64/plain"), "there is no family 'nofamily' of sparsemax"),
        (("--op", "fusedmax", "--case", "sparsemax/0/3/ties/float64/plain"), "there is no operator 'sparsemax'"),
        (("--op", ""), "--op names no operator; there are budgetmax"),
        (("--json", "r", "--html", "./r"), "--json and --html name the same file: name two"),
        (("--op", "sparsemax", "--solver", "os:abc", "--timeout", "1e300"), "timeout must be > 0 and at most"),
        (("--op", "sparsemax", "--json", "no/r.json"), "the folder "),
        (("--op", "sparsemax", "--html", "."), "'.' is not a regular file: name another output"),
    ],
)
def test_bad_input_is_one_sentence(capsys, arguments, sentence):
    assert sentence in complaint(capsys, ["verify", *arguments], "regmax verify")
