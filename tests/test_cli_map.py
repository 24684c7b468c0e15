"""``regmax map``: equal to the function on any array, and every way to misuse it."""

import io
import os
import sys

import numpy as np
import pytest

import regmax
from regmax.cli import main
from regmax.cli import map as mapping

from .cli import OWN, Terminal, X, complaint, python, save
from .cli import empty_folder as empty_folder  # runs around every test


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def mapped(x, op, *arguments):
    """``regmax map`` on an array."""
    save("x.npy", x)
    assert main(["map", "--op", op, "--in", "x.npy", "--out", "y.npy", *arguments]) == 0
    assert not [name for name in os.listdir() if name.endswith(".tmp")]
    return np.load("y.npy")


def same(found, expected):
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.fixture(params=[1 << 22, 1, 7, 40])
def _block(request, monkeypatch):
    monkeypatch.setattr(mapping, "_BLOCK", request.param)


def test_help_of_map_names_every_operator_and_parameter(capsys):
    main(["map", "--help"])
    out = capsys.readouterr().out
    for name in (*OWN, "--lam", "--gamma", "--alpha", "--weights", "--upper", "--total", "--k", "--p"):
        assert name in out


@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize("axis", [-1, 0, 1, 2, -3])
def test_map_equals_the_function(axis):
    same(mapped(X, "fusedmax", "--lam", "0.3", "--axis", str(axis)), regmax.fusedmax(X, lam=0.3, axis=axis))


@pytest.mark.parametrize("op", OWN)
def test_map_of_every_operator(op):
    same(mapped(X, op), getattr(regmax, op)(X))


@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize("axis", ["-2,-1", "0,2", "2,0"])
def test_map_of_matrices(axis):
    pair = tuple(map(int, axis.split(",")))
    k = ("--k", "2", "--gamma", "0.5")
    same(mapped(X, "kregularmax", *k, f"--axis={axis}"), regmax.kregularmax(X, 2, gamma=0.5, axis=pair))
    rows = mapped(X, "kregularmax", *k, "--reading", "row", f"--axis={axis}")
    same(rows, regmax.kregularmax(X, 2, gamma=0.5, reading="row", axis=pair))


@pytest.mark.usefixtures("_block")
def test_map_with_a_graph_and_a_shape():
    edges = np.array([[0, 3], [1, 5], [2, 4]])
    found = mapped(X, "graphfusedmax", "--edges", save("edges.npy", edges), "--lam", "0.3")
    same(found, regmax.graphfusedmax(X, edges=edges, lam=0.3))
    same(mapped(X, "tv2dmax", "--shape", "2x3"), regmax.tv2dmax(X, shape=(2, 3)))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("kregularmax", "--k", "2", "--axis", "1"), "axis must be the two axes of a matrix"),
        (("kregularmax", "--k", "2", "--axis", "0,0"), "axis must hold two different axes"),
        (("kregularmax", "--k", "2", "--reading", "neither"), "reading must be one of"),
        (("tv2dmax", "--shape", "4x4"), "shape must fold the 6 entries"),
        (("sparsemax", "--axis", "0,1"), "axis must be an integer"),
        (("graphfusedmax", "--edges", "7"), "edges must be pairs of integers"),
    ],
)
def test_map_of_matrices_and_graphs_complains(capsys, arguments, sentence):
    save("x.npy", X)
    assert sentence in complaint(capsys, ["map", "--op", *arguments, "--in", "x.npy", "--out", "y.npy"], "regmax map")


@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(4, 5, 6), (6,), (1, 5, 1), (1, 1)])
def test_map_with_a_mask(rng, axis, shape):
    mask = rng.random(shape) < 0.6
    found = mapped(X, "fusedmax", "--where", save("mask.npy", mask), "--axis", str(axis))
    same(found, regmax.fusedmax(X, axis=axis, where=mask))


@pytest.mark.usefixtures("_block")
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shared", [True, False])
def test_map_with_arrays_as_parameters(rng, axis, shared):
    n = X.shape[axis]
    batch = X.shape[:axis] + X.shape[axis + 1 :]
    lam = rng.random(batch[1:] if shared else batch)
    edges = rng.random(n - 1 if shared else (*batch, n - 1))
    ranks = np.sort(rng.random(n if shared else (*batch, n)))[..., ::-1]
    upper = 0.5 + rng.random(X.shape[1:] if shared else X.shape)
    count = rng.integers(1, n, batch[1:] if shared else batch)
    where = ["--axis", str(axis)]
    values = ["--lam", save("lam.npy", lam), "--weights"]
    same(
        mapped(X, "fusedmax", *where, *values, save("w.npy", edges)),
        regmax.fusedmax(X, lam=lam, weights=edges, axis=axis),
    )
    same(
        mapped(X, "oscarmax", *where, *values, save("w.npy", ranks)),
        regmax.oscarmax(X, lam=lam, weights=ranks, axis=axis),
    )
    same(
        mapped(X, "budgetmax", *where, "--upper", save("u.npy", upper)),
        regmax.budgetmax(X, upper=upper, axis=axis),
    )
    same(mapped(X, "topkmax", *where, "--k", save("k.npy", count)), regmax.topkmax(X, k=count, axis=axis))


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "i4", "?"])
def test_map_keeps_the_dtype(dtype):
    same(mapped(X.astype(dtype), "sparsemax"), regmax.sparsemax(X.astype(dtype)))


@pytest.mark.parametrize(
    ("op", "arguments", "parameters"),
    [
        ("topkmax", ["--k", "2"], {"k": 2}),
        ("fusedmax", ["--lam", "inf"], {"lam": np.inf}),
        ("entmax", ["--alpha=2e0", "--gamma", "0.5"], {"alpha": 2.0, "gamma": 0.5}),
    ],
)
def test_map_reads_numbers(op, arguments, parameters):
    same(mapped(X, op, *arguments), getattr(regmax, op)(X, **parameters))


@pytest.mark.parametrize("shape", [(6,), (0, 6), (3, 0, 6), (1, 6), (2, 1)])
def test_map_of_any_shape(rng, shape):
    x = rng.normal(size=shape)
    same(mapped(x, "oscarmax"), regmax.oscarmax(x))


def test_map_of_fortran_order():
    same(mapped(np.asfortranarray(X), "softmax"), regmax.softmax(X))


def test_map_onto_its_input(monkeypatch):
    monkeypatch.setattr(mapping, "_BLOCK", 7)
    save("x.npy", X)
    assert main(["map", "--op", "softmax", "--in", "x.npy", "--out", "x.npy"]) == 0
    same(np.load("x.npy"), regmax.softmax(X))
    assert os.listdir() == ["x.npy"]


def test_map_through_a_link():
    os.mkdir("real")
    os.symlink("real/y.npy", "y.npy")
    same(mapped(X, "softmax"), regmax.softmax(X))
    assert os.path.islink("y.npy")
    assert os.listdir("real") == ["y.npy"]


def test_map_to_a_name_that_standard_output_cannot_carry(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    save("x.npy", X)
    assert main(["map", "--op", "softmax", "--in", "x.npy", "--out", "größe.npy"]) == 0
    assert b"gr\\xf6\\xdfe.npy" in stream.buffer.getvalue()


def test_map_says_what_it_wrote(capsys):
    mapped(X, "softmax")
    assert capsys.readouterr().out == "softmax: 20 rows of 6, float64, written to y.npy\n"


def test_map_shows_progress_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(mapping, "_BLOCK", 30)
    mapped(X, "softmax")
    assert " 50 %  softmax" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize("limit", [1, 5, 6, 12, 29, 30, 31, 120, 10**9])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_blocks_cover_every_row_once(limit, axis):
    seen = np.zeros(X.shape, int)
    for block in mapping._blocks(X.shape, (axis,), limit):
        seen[block] += 1
        assert seen[block].shape[axis] == X.shape[axis]
        assert seen[block].size <= max(limit, X.shape[axis])
    assert (seen == 1).all()


def misuse(capsys, *arguments, op="fusedmax"):
    """The complaint about a map of x.npy."""
    if not os.path.exists("x.npy"):
        save("x.npy", X)
    return complaint(capsys, ["map", "--op", op, "--in", "x.npy", "--out", "y.npy", *arguments], "regmax map")


@pytest.mark.parametrize(
    ("op", "words"), [("fusemax", "fusedmax"), ("SparseMax", "sparsemax"), ("zzz", "choose one of budgetmax")]
)
def test_map_with_an_unknown_operator(capsys, op, words):
    assert words in misuse(capsys, op=op)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--k", "3"], "fusedmax has no parameter 'k': it takes lam, gamma, weights"),
        (["--lam", "-1"], "fusedmax: lam must be >= 0, got"),
        (["--lam", "nan"], "fusedmax: lam must be >= 0, got"),
        (["--gamma", "0"], "fusedmax: gamma must be > 0 and finite"),
        (["--lam", "much"], "--lam must be a number or the path of a .npy file, got 'much'"),
        (["--weights", "2"], "one entry per edge"),
        (["--weights", "short.npy"], "weights must have 5 entries"),
        (["--lam", "complex.npy"], "fusedmax: lam must be a number or an array of numbers"),
        (["--weights", "tall.npy"], "--weights must broadcast to shape (4, 5, 3), got shape (7, 3)"),
        (["--weights", "scalar.npy"], "weights must have one entry per edge"),
        (["--lam", "short.npy"], "--lam must broadcast to shape (4, 5), got shape (3,)"),
        (["--lam", "missing.npy"], "cannot read --lam missing.npy (No such file or directory)"),
        (["--axis", "3"], "fusedmax: axis must be within the 3 dimensions of x, got 3"),
        (["--where", "short.npy"], "--where must broadcast to shape (4, 5, 6), got shape (3,)"),
        (["--where", "scalar.npy"], "where must be boolean"),
        (["--where", "missing.npy"], "cannot read --where"),
    ],
)
def test_map_with_a_bad_parameter(capsys, arguments, words):
    save("short.npy", np.ones(3))
    save("tall.npy", np.ones((7, 3)))
    save("complex.npy", np.ones((4, 5), complex))
    save("scalar.npy", np.array(1.0))
    assert words in misuse(capsys, *arguments)


def test_map_with_a_bad_value_in_a_late_block(capsys, monkeypatch):
    monkeypatch.setattr(mapping, "_BLOCK", 6)
    lam = np.ones((4, 5))
    lam[3, 4] = -1
    save("lam.npy", lam)
    said = misuse(capsys, "--lam", "lam.npy")
    assert "lam must be >= 0, got" in said
    assert said.endswith(" (within x[3:4, 4:5, 0:6])\n")


def test_map_with_caps_that_are_too_small(capsys, monkeypatch):
    assert misuse(capsys, "--upper", "0.1", op="budgetmax").endswith("in row 0\n")
    monkeypatch.setattr(mapping, "_BLOCK", 12)
    said = misuse(capsys, "--upper", "0.1", op="budgetmax")
    assert "budgetmax: upper must sum to at least" in said
    assert said.endswith("in row 0 (within x[0:1, 0:2, 0:6])\n")


def test_map_without_memory(capsys, monkeypatch):
    def full(*arguments):
        raise MemoryError("Unable to allocate 1.00 TiB")

    monkeypatch.setattr(regmax.Softmax, "argmax", full)
    assert "Unable to allocate 1.00 TiB" in misuse(capsys, op="softmax")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (X.astype(complex), "real numbers, got dtype complex128"),
        (np.array(["a", "b"]), "real numbers, got dtype <U1"),
        (np.zeros((3, 0)), "must have at least one entry"),
        (np.array(1.0), "must have at least one dimension"),
    ],
)
def test_map_of_an_unfit_array(capsys, array, words):
    save("x.npy", array)
    assert words in misuse(capsys)


def test_map_of_objects(capsys):
    np.save("x.npy", np.array([1, None]), allow_pickle=True)
    assert "not a whole .npy file of numbers" in misuse(capsys)


def _whole():
    stream = io.BytesIO()
    np.save(stream, X)
    return stream.getvalue()


def _archive():
    stream = io.BytesIO()
    np.savez(stream, X)
    return stream.getvalue()


WHOLE = _whole()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1,2,3\n",
        _archive(),
        WHOLE[:-1],
        WHOLE[:100],
        WHOLE[:4],
        WHOLE.replace(b"'descr'", b"'other'"),
        WHOLE.replace(b"{'descr'", b"(((((((("),
        WHOLE.replace(b"(4, 5, 6)", b"(4, -5,6)"),
        WHOLE.replace(b"(4, 5, 6)", b"(4,'a',6)"),
        WHOLE.replace(b"(4, 5, 6), ", b"(9**9**9,),"),
        WHOLE.replace(b"(4, 5, 6), }" + b" " * 20, b"(" + b"9" * 29 + b",)}"),
        WHOLE.replace(b"<f8", b"\xff8'"),
        b"\x93NUMPY\x09\x00" + WHOLE[8:],
    ],
    ids=range(14),
)
def test_map_of_a_corrupt_file(capsys, content):
    with open("x.npy", "wb") as file:
        file.write(content)
    assert "x.npy is not a whole .npy file of numbers" in misuse(capsys)


def test_map_of_no_file(capsys):
    arguments = ["map", "--op", "softmax", "--in", "none.npy", "--out", "y.npy"]
    assert "cannot read --in none.npy" in complaint(capsys, arguments, "regmax map")


def test_map_of_a_folder(capsys):
    os.mkdir("x.npy")
    assert "cannot read --in x.npy" in misuse(capsys)


@pytest.mark.parametrize(
    ("out", "words"), [("nowhere/y.npy", "does not exist"), ("x.npy/y.npy", "does not exist"), (".", "regular file")]
)
def test_map_into_a_bad_place(capsys, out, words):
    assert words in misuse(capsys, "--out", out)


def test_map_into_a_file_that_cannot_be_made(capsys):
    assert "cannot write" in misuse(capsys, "--out", "y" * 250)


def test_map_leaves_the_old_output_alone(capsys):
    save("y.npy", X)
    misuse(capsys, "--lam", "-1")
    same(np.load("y.npy"), X)


def test_map_on_a_full_disk(capsys, monkeypatch):
    def full(descriptor, start, length):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    assert "No space left" in misuse(capsys)


def test_map_where_space_cannot_be_reserved(monkeypatch):
    def unsupported(descriptor, start, length):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unsupported, raising=False)
    same(mapped(X, "softmax"), regmax.softmax(X))
    monkeypatch.delattr(os, "posix_fallocate")
    same(mapped(X, "sparsemax"), regmax.sparsemax(X))


def test_map_interrupted(capsys, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(mapping, "_weights", interrupt)
    save("x.npy", X)
    assert main(["map", "--op", "softmax", "--in", "x.npy", "--out", "y.npy"]) == 130
    assert os.listdir() == ["x.npy"]
    assert capsys.readouterr().err == "regmax map: interrupted\n"


def test_map_in_a_process_of_its_own():
    save("x.npy", X)
    ran = python("map", "--op", "sparsemax", "--in", "x.npy", "--out", "y.npy")
    assert (ran.returncode, ran.stderr) == (0, "")
    same(np.load("y.npy"), regmax.sparsemax(X))


def test_map_with_an_adjacency_matrix(capsys):
    import scipy.sparse

    edges = np.array([[0, 3], [1, 5], [2, 4]])
    matrix = scipy.sparse.coo_array((np.ones(3), edges.T), shape=(6, 6))
    scipy.sparse.save_npz("graph.npz", scipy.sparse.csr_array(matrix + matrix.T))
    same(mapped(X, "graphfusedmax", "--edges", "graph.npz"), regmax.graphfusedmax(X, edges=edges))
    capsys.readouterr()
    assert "name a .npz file that exists" in misuse(capsys, "--edges", "none.npz", op="graphfusedmax")
    np.savez("other.npz", X)
    assert "not a sparse matrix" in misuse(capsys, "--edges", "other.npz", op="graphfusedmax")
