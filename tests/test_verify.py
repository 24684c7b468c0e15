"""The verification itself: all of ours passes, and every solver that is wrong is caught, with a line to repeat it."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import regmax
from regmax.verify import Case, check, families, verify
from regmax.verify.instances import LAYOUTS, laid_out
from regmax.verify.runner import OwnProcess, SolverError
from regmax.verify.subject import kinds

from . import bad_solvers

QUICK = {"sizes": (1, 2, 3, 8), "rows": 4}
HERE = "tests.bad_solvers"


@pytest.mark.parametrize("name", kinds())
def test_ours_pass(name):
    report = verify(name, sizes=(1, 3, 6), rows=2)
    assert report.passed, str(report)
    assert report.worst_gap <= 1e-5
    assert report.gap_in("float64") <= 1e-12
    assert 0 < report.worst_distance < 1e-3
    assert 0 < report.worst_derivative < 1e-6
    assert len(report.measurements) > 100


WRONG = [
    (regmax.oscarmax_published, "oscarmax", "has gap", "normal 1"),
    (bad_solvers.entmax_with_few_bisections, "entmax", "has gap", "normal 1"),
    (bad_solvers.sparsemax_without_ties, "sparsemax", "violates a constraint", "ties"),
    (bad_solvers.sparsemax_without_shift, "sparsemax", "violates a constraint", "offset 1e6"),
    (bad_solvers.sparsemax_of_contiguous_memory, "sparsemax", "has gap", "normal 1"),
    (bad_solvers.sparsemax_that_raises, "sparsemax", "raises ZeroDivisionError: division by zero", "ties"),
    (bad_solvers.sparsemax_of_one_shape, "sparsemax", "returns shape", "normal 1"),
    (bad_solvers.sparsemax_in_float64, "sparsemax", "returns float64 for float32", "normal 1"),
    (bad_solvers.sparsemax_with_nan, "sparsemax", "answers NaN in row", "-inf"),
    (bad_solvers.sparsemax_in_place, "sparsemax", "changes its input", "normal 1"),
    (bad_solvers.sparsemax_of_nothing, "sparsemax", "returns shape ()", "normal 1"),
    (bad_solvers.sparsemax_of_infinity, "sparsemax", "answers infinity in row 0", "normal 1"),
    (bad_solvers.simplex_of_infinity, "prox.simplex", "answers infinity in row 0", "normal 1"),
    (bad_solvers.sparsemax_that_leaves, "sparsemax", "raises SystemExit: 3", "ties"),
    (bad_solvers.sparsemax_nearly_feasible, "sparsemax", "violates a constraint", "normal 1"),
]


@pytest.mark.parametrize(("solver", "operator", "what", "family"), WRONG, ids=lambda v: getattr(v, "__name__", None))
def test_a_wrong_solver_is_caught_and_its_line_repeats_the_failure(solver, operator, what, family):
    report = check(solver, operator, timeout=None, **QUICK)
    assert not report.passed
    failures = [f for f in report.failures if what in f.what and f.case.family == family]
    assert failures, str(report)
    again = eval(failures[0].line, {"regmax": regmax, "solver": solver})
    assert failures[0].what in [f.what for f in again.failures]


def test_only_the_unshifted_float32_offset_fails():
    report = check(bad_solvers.sparsemax_without_shift, "sparsemax", timeout=None, **QUICK)
    broken = {(f.case.family, f.case.dtype) for f in report.failures}
    assert ("offset 1e6", "float32") in broken
    assert ("normal 1", "float32") not in broken


def test_only_strided_memory_fails():
    report = check(bad_solvers.sparsemax_of_contiguous_memory, "sparsemax", timeout=None, **QUICK)
    assert {f.case.layout for f in report.failures} <= set(LAYOUTS) - {"plain", "read-only"}


def test_a_good_solver_passes_and_says_what_it_was_not_asked():
    report = check(lambda x: regmax.sparsemax(x), regmax.Sparsemax, **QUICK)
    assert report.passed, str(report)
    assert report.skipped == ["sparsemax: no parameter gamma, so Sparsemax(gamma=3.0) was left out"] * 4
    assert check(lambda x, **parameters: regmax.sparsemax(x, **parameters), "sparsemax", **QUICK).skipped == []
    assert check(lambda x: regmax.fusedmax(x, lam=0.3), regmax.Fusedmax(0.3), **QUICK).passed
    assert not check(lambda x: regmax.fusedmax(x, lam=0.2), regmax.Fusedmax(0.3), **QUICK).passed
    assert check(regmax.prox.tv, "prox.tv", **QUICK).passed


def test_the_tolerance_is_the_callers():
    def rounded(x):
        return regmax.sparsemax(x + 1e-9 * np.arange(x.shape[1], dtype=x.dtype))

    options = {"sizes": (3,), "timeout": None}
    assert not check(rounded, regmax.Sparsemax(), **options).passed
    loose = check(rounded, regmax.Sparsemax(), tol=1e-6, **options)
    assert {f.case.family for f in loose.failures} <= {"huge", "tiny"}


def test_a_hanging_callable_is_left_behind():
    case = "sparsemax/0/2/all equal/float64/plain"
    report = check(bad_solvers.sparsemax_that_hangs, "sparsemax", timeout=0.3, case=case)
    assert [f.what for f in report.failures] == ["takes more than 0.3 s"]


@pytest.mark.parametrize(
    ("solver", "what"),
    [
        ("sparsemax_that_hangs", "takes more than 2 s"),
        ("sparsemax_that_exits", "ends the process that it runs in"),
        ("sparsemax_of_contiguous_memory", "has gap"),
        ("sparsemax_in_place", "changes its input"),
        ("sparsemax_that_talks", None),
    ],
)
def test_a_process_of_its_own(solver, what):
    families = "all equal/float64/plain" if what and ("takes" in what or "ends" in what) else "normal 1/float64/strided"
    report = check(f"{HERE}:{solver}", "sparsemax", timeout=2.0, case=f"sparsemax/0/2/{families}")
    assert report.passed == (what is None)
    for failure in report.failures:
        assert what in failure.what
        assert failure.line == (
            f"regmax verify --op sparsemax --case '{failure.case}' --timeout 2.0 --solver {HERE}:{solver}"
        )


def test_after_a_hang_the_rest_is_judged():
    report = check(f"{HERE}:sparsemax_that_hangs", "sparsemax", timeout=2.0, sizes=(2,), rows=2)
    assert {f.case.family for f in report.failures} == {"all equal", "zeros"}
    assert sum(m.gap is not None for m in report.measurements) > 30


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_layouts_reach_the_other_process(layout):
    x = laid_out(families(3)["normal 1"], layout)
    runner = OwnProcess("tests.test_verify:describe_memory", 60.0)
    try:
        strides, writeable, total = runner.solve(x, {})
    finally:
        runner.close()
    assert (tuple(strides), bool(writeable), total) == (x.strides, x.flags.writeable, x.sum())


def describe_memory(x):
    out = np.empty(3, object)
    out[:] = [x.strides, x.flags.writeable, x.sum()]
    return out


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "sentence"),
    [
        (
            ("nowhere:f", "sparsemax"),
            {},
            ValueError,
            "verify: nowhere:f cannot be imported (ModuleNotFoundError: No mod",
        ),
        (
            (f"{HERE}:nothing", "sparsemax"),
            {},
            ValueError,
            f"verify: {HERE}:nothing cannot be imported (AttributeError",
        ),
        ((f"{HERE}:NOT_A_FUNCTION", "sparsemax"), {}, ValueError, f"verify: {HERE}:NOT_A_FUNCTION is not a function"),
        (("nocolon", "sparsemax"), {}, ValueError, "verify: a solver must be named package.module:function, got"),
        ((abs, "nomax"), {}, ValueError, "verify: there is no operator 'nomax'; there are"),
        ((abs, 3), {}, TypeError, "verify: operator must be an operator, its class or its name, got 3"),
        (
            (abs, "sparsemax"),
            {"case": "x"},
            ValueError,
            "verify: a case must read operator/sample/size/family/dtype/lay",
        ),
        ((abs, regmax.Regularizer), {}, TypeError, "verify: operator must be an operator, its class or its name, got"),
        ((3, "sparsemax"), {}, TypeError, "verify: solver must be a callable or package.module:function, got 3"),
        ((abs, "sparsemax"), {"rows": 0}, ValueError, "verify: rows must be an integer >= 1, got 0"),
        ((abs, "sparsemax"), {"sizes": (0,)}, ValueError, "verify: sizes must be integers >= 1, got (0,)"),
        ((abs, "sparsemax"), {"sizes": 3}, ValueError, "verify: sizes must be integers >= 1, got 3"),
        ((abs, "sparsemax"), {"tol": float("nan")}, ValueError, "verify: tol must be > 0 and finite, got nan"),
        ((abs, "sparsemax"), {"timeout": 1e300}, ValueError, "verify: timeout must be > 0 and at most"),
        *(
            ((abs, "sparsemax"), {"case": case}, ValueError, f"verify: there is no {what}")
            for case, what in (
                ("fusedmax/0/3/ties/float64/plain", "operator 'fusedmax' of sparsemax"),
                ("sparsemax/0/3/nothing/float64/plain", "family 'nothing'"),
                ("sparsemax/0/3/huge/float32/plain", "family 'huge'"),
                ("sparsemax/0/3/ties/float16/plain", "dtype 'float16'"),
                ("sparsemax/0/3/ties/float64/tilted", "layout 'tilted'"),
                ("sparsemax/99/3/ties/float64/plain", "sample, or a shorter row, 99"),
                ("sparsemax/0/99999999999/ties/float64/plain", "sample, or a shorter row, 0"),
            )
        ),
    ],
)
def test_one_sentence(arguments, options, kind, sentence):
    with pytest.raises(kind) as caught:
        check(*arguments, **options)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_what_was_not_measured_is_not_zero():
    report = check(bad_solvers.sparsemax_of_nothing, "sparsemax", sizes=(3,))
    assert np.isnan(report.worst_gap)
    assert np.isnan(report.worst_derivative)
    line = str(report).splitlines()[2]
    assert line.split()[2:6] == ["-"] * 4
    found = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert found["operators"][0]["worst_gap"] is None


def test_lines_name_what_was_asked_for_and_survive_a_shell():
    report = check(f"{HERE}:sparsemax_with_nan", "sparsemax", tol=1e-9, timeout=30.0, sizes=(2,), seed=3)
    words = shlex.split(report.failures[0].line)
    assert words[words.index("--tol") + 1] == "1e-09"
    assert words[words.index("--timeout") + 1] == "30.0"
    assert words[words.index("--seed") + 1] == "3"
    assert words[words.index("--case") + 1] == str(report.failures[0].case)
    assert (
        verify(regmax.Sparsemax(), sizes=(3,), tol=1e-30)
        .failures[0]
        .line.startswith("regmax.verify.verify(regmax.Sparsemax(gamma=1.0), case=")
    )


def test_a_death_is_blamed_on_the_right_case():
    runner = OwnProcess(f"{HERE}:dies_of_one", 20.0)
    try:
        for _ in range(6):
            with pytest.raises(SolverError, match="ends the process"):
                runner.solve(np.ones((2, 3)), {})
            assert runner.solve(np.zeros((2, 3)), {}).shape == (2, 3)
    finally:
        runner.close()


def test_a_hanging_child_goes_with_its_parent(tmp_path):
    """Killed without a chance to clean up, the parent leaves nobody behind."""
    code = (
        "import threading, numpy as np\n"
        "from regmax.verify.runner import OwnProcess\n"
        f"runner = OwnProcess('{HERE}:sparsemax_that_hangs', None)\n"
        "print(runner._process.pid, flush=True)\n"
        "runner.solve(np.zeros((2, 3)), {})\n"
    )
    root = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    with parent:
        child = int(parent.stdout.readline())
        time.sleep(0.5)
        parent.kill()
    for _ in range(100):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the solver outlived the verification")


def test_a_case_reads_back():
    case = Case("prox.tv", 2, 8, "offset 1e6", "float32", "strided")
    assert Case.parse(str(case)) == case
