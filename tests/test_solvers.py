"""The kernels against slow, obvious versions, against their own Python source, and against their machine code."""

import json
import os
import subprocess
import sys
import threading
from types import FunctionType

import numpy as np
import pytest

import regmax
from regmax.solvers import _threads, entmax, isotonic, order, rows, simplex, tv

from . import reference
from .instances import families, feasible_rows, operators, proxes

SMALL = (1, 2, 3, 6, 7)


def small_rows(n):
    for family, x in families(n).items():
        if family not in ("huge", "tiny", "-inf", "additive mask", "mixed scale", "offset -1e9", "exponential ramp"):
            yield from x


@pytest.mark.parametrize("n", SMALL)
def test_sparsemax_equals_sorting(n):
    for x in small_rows(n):
        np.testing.assert_allclose(regmax.sparsemax(x), reference.sparsemax(x), atol=1e-12 * max(1, abs(x).max()))


@pytest.mark.parametrize("alpha", [1.1, 1.25, 1.5, 1.9, 2.0, 2.5, 4.0])
@pytest.mark.parametrize("n", SMALL)
def test_entmax_equals_bisection(n, alpha):
    for x in small_rows(n):
        if abs(x).max() > 100:
            continue
        tolerance = 1e-9 if alpha <= 2 else 1e-16 ** min(1, 1 / (alpha - 1)) * 50
        np.testing.assert_allclose(regmax.entmax(x, alpha=alpha), reference.entmax(x, alpha), atol=tolerance)


@pytest.mark.parametrize("n", SMALL)
def test_budgetmax_equals_breakpoints(n):
    rng = np.random.default_rng(n)
    for x in small_rows(n):
        upper = rng.random(n) + 0.2
        total = upper.sum() * rng.uniform(0.1, 1.0)
        found = regmax.budgetmax(x, upper=upper, total=total)
        np.testing.assert_allclose(found, reference.capped_simplex(x, upper, total), atol=1e-11 * max(1, abs(x).max()))


@pytest.mark.parametrize("n", SMALL)
def test_topkmax_keeps_k_and_their_ties(n):
    for x in small_rows(n):
        for k in range(1, n + 1):
            kept = x >= np.sort(x)[::-1][k - 1]
            np.testing.assert_array_equal(regmax.topkmax(x, k=k) > 0, kept)


@pytest.mark.parametrize("n", [2, 3, 6, 7])
def test_tv_prox_equals_enumeration(n):
    rng = np.random.default_rng(n)
    for x in small_rows(n):
        for lam in (0.0, 0.01, 0.3, 2.0, 1e3):
            weights = rng.choice([0.5, 1.0, 2.0, 0.0], size=(1, n - 1))
            out = np.empty((1, n))
            tv.tv(x[None], np.array([lam]), weights, out, 0, 1)
            expected = reference.tv_prox(x, lam * weights[0])
            np.testing.assert_allclose(out[0], expected, atol=1e-11 * max(1, abs(x).max()))


@pytest.mark.parametrize("n", [2, 3, 6, 7])
def test_fusedmax_equals_projection_of_the_finished_prox(n):
    for x in small_rows(n):
        for lam, gamma in ((0.0, 1.0), (0.05, 1.0), (0.5, 0.5), (3.0, 2.0)):
            expected = reference.fusedmax(x - x.max(), lam, gamma)
            found = regmax.fusedmax(x, lam=lam, gamma=gamma)
            np.testing.assert_allclose(found, expected, atol=1e-11 * max(1, abs(x).max()))


@pytest.mark.parametrize("n", SMALL)
def test_oscarmax_equals_minimax_isotonic_regression(n):
    for x in small_rows(n):
        for lam, gamma, weights in (
            (0.0, 1.0, None),
            (0.02, 1.0, None),
            (0.3, 0.5, None),
            (0.4, 1.0, np.sort(np.cos(np.arange(n) * 7.0))[::-1]),
        ):
            used = np.arange(n - 1, -1, -1.0) if weights is None else weights
            expected = reference.oscarmax(x - x.max(), lam, gamma, used)
            found = regmax.oscarmax(x, lam=lam, gamma=gamma, weights=weights)
            np.testing.assert_allclose(found, expected, atol=1e-11 * max(1, abs(x).max()))


def test_the_published_oscarmax_is_wrong_where_the_docs_say_so():
    x = np.array([1.0, 0.1, 0.1])
    np.testing.assert_allclose(regmax.oscarmax_published(x, lam=0.3), [0.6, 0.2, 0.2])
    np.testing.assert_allclose(regmax.oscarmax(x, lam=0.3), [19 / 30, 11 / 60, 11 / 60])
    mixed = np.random.default_rng(0).normal(size=(2000, 8))
    differs = np.abs(regmax.oscarmax_published(mixed, lam=0.1) - regmax.oscarmax(mixed, lam=0.1)).max(axis=1) > 1e-6
    assert 0.2 < differs.mean() < 0.95
    gap = regmax.Oscarmax(0.1).certify(mixed, regmax.oscarmax_published(mixed, lam=0.1)).gap
    assert np.all((gap > 1e-12) == differs)
    np.testing.assert_allclose(regmax.oscarmax_published([1, 0.1, 0.1, -np.inf], lam=0.3), [0.6, 0.2, 0.2, 0])


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 100, 1000])
def test_sort_is_stable_and_descending(count):
    values = np.random.default_rng(count).integers(0, 9, size=count).astype(float)
    places = np.arange(count)
    expected = np.argsort(-values, kind="stable")
    sorted_values = values.copy()
    order.merge_sort(sorted_values, places, np.empty(count), np.empty(count, np.int64))
    np.testing.assert_array_equal(places, expected)
    np.testing.assert_array_equal(sorted_values, values[expected])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 3, 16, 17, 500, 3000])
def test_keys_sort_downwards_on_the_worst_inputs(n, dtype):
    """Values that agree in all the digits that the keys of float64 keep, too many to repair by insertion."""
    rng = np.random.default_rng(n)
    close = 1 + rng.permutation(n) * np.finfo(dtype).eps
    for x in (close, np.append(close[1:], -2.0), rng.integers(3, size=n), -close, rng.normal(size=n) * 1e-300):
        x = x.astype(dtype)
        keys, values = np.empty(n, np.int64), np.empty(n, dtype)
        order.write_keys(x, keys)
        keys.sort()
        order.descending(x, keys, values)
        np.testing.assert_array_equal(values, -np.sort(-x))
        np.testing.assert_array_equal(x[keys], values)
        assert len(set(keys.tolist())) == n


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_isotonic_regression_equals_the_minimax_formula(n):
    for x in (np.random.default_rng(n).normal(size=n), np.arange(n, dtype=float), np.zeros(n)):
        values, size = x.copy(), np.empty(n, np.int64)
        blocks = isotonic.pool(values, size, isotonic.reciprocals(x[None]))
        found = np.repeat(values[:blocks], size[:blocks])
        np.testing.assert_allclose(found, reference.isotonic_decreasing(x), atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_order_statistics_from_bits(dtype):
    for x in families(33).values():
        for row in np.clip(x, np.finfo(dtype).min, np.finfo(dtype).max).astype(dtype):
            assert rows.extent(row) == (row.max(), row.min(), True)
            for k in (1, 2, 17, 33):
                assert rows.kth_largest(row, k) == np.sort(row)[::-1][k - 1]
    for bad in (np.nan, -np.nan, np.inf):
        for place in (0, 3):
            row = np.zeros(4, dtype)
            row[place] = bad
            assert not rows.extent(row)[2]


@pytest.mark.parametrize("family", ["normal 1", "ramp", "square root", "alternating", "exponential ramp"])
@pytest.mark.parametrize("lam", [1e-3, 1.0, 100.0])
def test_tv_prox_takes_linear_time_on_the_worst_inputs(family, lam):
    """Not timed: a quadratic method takes minutes here. The dual flow proves the answer."""
    n = 200_000
    k = np.arange(n)
    x = {
        "normal 1": np.random.default_rng(0).normal(size=n),
        "ramp": k * 1.0,
        "square root": np.sqrt(k),
        "alternating": (-1.0) ** k,
        "exponential ramp": 1.0001 ** -k.astype(float),
    }[family]
    out = np.empty((1, n))
    tv.tv(x[None], np.array([lam]), np.empty((1, 0)), out, 0, 1)
    flow = np.cumsum(x - out[0])
    assert np.max(np.abs(flow[:-1])) <= lam * (1 + 1e-6) + 1e-7
    jump = np.sign(np.diff(out[0]))
    touching = np.abs(flow[:-1] + lam * jump)[np.abs(np.diff(out[0])) > 1e-9]
    assert touching.max(initial=0) <= 1e-6 * max(1, lam)
    assert abs(flow[-1]) <= 1e-6


def interpreted(driver):
    """The source of a kernel; of a driver in plain Python, with the sources of the kernels that it calls."""
    if hasattr(driver, "py_func"):
        return driver.py_func
    sources = {name: value.py_func for name, value in driver.__globals__.items() if hasattr(value, "py_func")}
    return FunctionType(driver.__code__, {**driver.__globals__, **sources})


@pytest.mark.parametrize("operator", operators(5) + proxes(5), ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_kernel_equals_its_python_source(operator, dtype, monkeypatch):
    calls, original = [], _threads.run

    def spy(driver, inputs, *outputs):
        calls.append((driver, [a.copy() for a in inputs], [a.copy() for a in outputs]))
        original(driver, inputs, *outputs)

    for module in [one for one in sys.modules.values() if getattr(one, "run", None) is original]:
        monkeypatch.setattr(module, "run", spy)
    x = np.concatenate([families(5)[name][:2] for name in ("normal 1", "ties", "-inf", "ramp", "all equal")])
    x = feasible_rows(operator, x).astype(dtype)
    y = operator(x)
    operator.jacobian(y, np.tile(np.cos(np.arange(5)), (len(x), 1)).astype(dtype), x=x)
    operator.certify(x, y)
    assert len(calls) >= 1
    for driver, inputs, outputs in calls:
        compiled, spelled_out = ([a.copy() for a in outputs] for _ in range(2))
        original(driver, inputs, *compiled)
        with np.errstate(all="ignore"):
            interpreted(driver)(*inputs, *spelled_out, 0, len(spelled_out[-1]))
        tolerance = 2e-5 if dtype == np.float32 else 1e-12
        for found, expected in zip(compiled, spelled_out, strict=True):
            np.testing.assert_allclose(found, expected, atol=tolerance, rtol=tolerance, err_msg=str(driver))


IN_PYTHON = """
import sys, numpy as np, regmax
from regmax.solvers import _jit
from tests.instances import families, operators, proxes
assert not any(hasattr(kernel, "py_func") for kernel in _jit.kernels())
results = {}
with np.errstate(all="ignore"):
    for n in (1, 2, 5, 9):
        for i, operator in enumerate(operators(n) + proxes(n)):
            for dtype in ("f4", "f8"):
                x = np.concatenate([families(n)[name][:2] for name in ("normal 1", "ties", "ramp", "dominant")])
                x = x.astype(dtype)
                y = operator(x)
                results[f"{n} {i} {dtype} y"] = y
                results[f"{n} {i} {dtype} gap"] = operator.certify(x, y).gap
np.savez(sys.argv[1], **results)
"""


def test_the_whole_call_tree_equals_its_python_source(tmp_path):
    """Inside a kernel's own ``py_func`` the kernels it calls are compiled; here none is."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-W", "ignore", "-c", IN_PYTHON, str(tmp_path / "results.npz")]
    subprocess.run(command, check=True, env=environment)
    names = ("normal 1", "ties", "ramp", "dominant")
    with np.load(tmp_path / "results.npz") as results:
        assert len(results) > 100
        for key, expected in results.items():
            n, i, dtype, what = key.split()
            operator = (operators(int(n)) + proxes(int(n)))[int(i)]
            x = np.concatenate([families(int(n))[name][:2] for name in names]).astype(dtype)
            y = operator(x)
            tolerance = 5e-5 if dtype == "f4" else 1e-12
            if getattr(operator, "alpha", 1) > 2 or getattr(operator, "p", 1) > 2:
                tolerance **= 1 / 3  # a weight at the threshold is a root of the rounding there
            found = y if what == "y" else operator.certify(x, y).gap
            np.testing.assert_allclose(found, expected, atol=tolerance * max(1, np.abs(x).max()), err_msg=key)


INSPECTION = """
import json, re, numba, numpy as np, regmax
from regmax.prox import proximals
from regmax.solvers import _jit
double = re.compile(r"= (?:[a-z]+ )*?(?:fadd|fsub|fmul|fdiv|fcmp|fneg|sitofp|fpext)[^\\n]*\\bdouble\\b[^\\n]*")
x = np.zeros((2, 4), np.float32)
for kind in (*regmax.operators().values(), *proximals().values()):
    operator = kind.samples(4)[0]
    operator.jacobian(operator(x), x, x=x)
found = {}
for kernel in _jit.kernels():
    for signature, code in kernel.inspect_llvm().items():
        if not any(isinstance(a, numba.types.Array) and a.dtype == numba.types.float32 for a in signature):
            continue
        wide = [str(a) for a in signature if a == numba.types.float64]
        bodies = [body for body in code.split("\\ndefine ")[1:] if "cpython" not in body.split("(")[0]]
        found[kernel.py_func.__name__] = wide + [m.group(0) for body in bodies for m in double.finditer(body)][:3]
print(json.dumps(found))
"""


def test_float32_kernels_hold_no_float64_instruction(tmp_path):
    """Compiled anew in a process without a disk cache, because cached code cannot be inspected."""
    environment = {**os.environ, "REGMAX_CACHE_DIR": os.devnull + "/none"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", INSPECTION], capture_output=True, text=True, env=environment, check=True
    )
    found = json.loads(done.stdout)
    drivers = {name for kind in regmax.operators() for name in (kind, f"{kind}_jacobian")}
    plain = {"topkmax_jacobian", "fusedmax", "oscarmax", "oscarmax_jacobian"}
    plain |= {"graphfusedmax", "graphfusedmax_jacobian", "tv2dmax", "tv2dmax_jacobian"}
    plain |= {"plaplacemax", "plaplacemax_jacobian"}
    plain |= {"kregularmax", "kregularmax_jacobian"}  # solved in float64
    inside = {
        "_oscarmax_rows",
        "_owl_rows",
        "_cluster_means",
        "isotonic",
        "isotonic_jacobian",
        "l1_ball",
        "_fusedmax_rows",
        "_graph_tv_jacobian_rows",
        "_graphfusedmax_jacobian_rows",
        "_tv_rows",
    }
    assert (drivers - plain) | inside <= set(found)
    # What is solved in float64 only reads float32 rows and writes them.
    converting = {"_plaplacemax_rows", "_plaplacian_rows", "_jacobian_rows", "_edges"}
    assert {name: part for name, part in found.items() if part and name not in converting} == {}


@pytest.mark.parametrize("operator", operators(64) + proxes(64), ids=str)
def test_result_does_not_depend_on_threads(operator):
    x = np.random.default_rng(0).normal(size=(3000, 64))
    before = regmax.get_num_threads()
    try:
        regmax.set_num_threads(1)
        serial = operator(x)
        regmax.set_num_threads(3)
        np.testing.assert_array_equal(operator(x), serial)
    finally:
        regmax.set_num_threads(before)
    np.testing.assert_array_equal(operator(x[1234]), serial[1234])


def test_room_is_kept_per_thread_and_given_up_when_long():
    like = np.zeros((3, 10), np.float32)
    first = _threads.kept_rows(2, like)
    assert (first.shape, first.dtype) == ((2, 10), np.float32)
    assert _threads.kept_rows(2, like) is first
    assert _threads.kept_rows(2, like.astype(float)).dtype == np.float64
    other = []
    thread = threading.Thread(target=lambda: other.append(_threads.kept_rows(2, like)))
    thread.start()
    thread.join()
    assert not np.shares_memory(other[0], _threads.kept_rows(2, like))
    long = np.broadcast_to(np.float32(0), (1, _threads._KEPT))
    assert _threads.kept_rows(2, long) is not _threads.kept_rows(2, long)


def test_concurrent_python_threads():
    x = np.random.default_rng(0).normal(size=(2000, 64))
    expected = regmax.fusedmax(x)
    results = [None] * 8

    def work(i):
        results[i] = regmax.fusedmax(x)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for found in results:
        np.testing.assert_array_equal(found, expected)


def test_whole_powers_agree_with_the_general_power():
    x = np.random.default_rng(0).normal(size=(50, 20))
    for k in range(2, 9):
        near = np.nextafter(1 + 1 / k, 2) + 1e-12
        np.testing.assert_allclose(regmax.entmax(x, alpha=1 + 1 / k), regmax.entmax(x, alpha=near), atol=1e-10)
    assert entmax.MAX_STEPS == simplex.MAX_STEPS
