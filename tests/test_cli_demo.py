"""``regmax demo``: the figures, the bars, the picture, and every way to misuse it."""

import importlib
import io
import os
import re
import sys
from dataclasses import replace

import numpy as np
import pytest

import regmax
from regmax.cli import demo, main, text
from regmax.cli.examples import Example, describe, examples, load_attention
from regmax.cli.measure import measure

from .cli import OWN, Terminal, X, complaint, python, save
from .cli import empty_folder as empty_folder  # runs around every test


@pytest.fixture
def two_operators(monkeypatch):
    """A demo of two operators, which compiles less."""
    chosen = [Example(regmax.Softmax(), "dense"), Example(regmax.Sparsemax(), "sparse")]
    monkeypatch.setattr(demo, "examples", lambda attention: chosen)


def is_png(path):
    content = path.read_bytes()
    return content.startswith(b"\x89PNG\r\n\x1a\n") and 50_000 < len(content) < 600_000


def test_demo(tmp_path):
    ran = python("demo")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert os.listdir() == ["regmax-demo.png"]
    assert is_png(tmp_path / "regmax-demo.png")
    lines = ran.stdout.splitlines()
    assert max(map(len, lines)) <= 100
    figures = {line.split()[0]: line.split()[-8:] for line in lines if re.match(r"\w+max +\S+=", line)}
    assert list(figures)[: len(OWN)] == OWN
    assert set(figures) == set(regmax.operators()) - {"tv2dmax"}
    for name, (kept, segments, clusters, entropy, gap, distance, microseconds, ratio) in figures.items():
        assert 1 <= float(clusters) <= float(segments) <= float(kept) <= 27, name
        assert 0 < float(entropy) <= np.log(27)
        assert float(gap) < 1e-12
        assert float(distance) < 1e-6
        assert float(microseconds) > 0
        assert float(ratio) > 0
    assert figures["softmax"][0] == "27.0"
    assert figures["topkmax"][0] == "4.0"
    assert float(figures["fusedmax"][1]) < float(figures["fusedmax"][0])
    assert float(figures["graphfusedmax"][1]) < float(figures["graphfusedmax"][0])
    assert float(figures["oscarmax"][2]) < float(figures["oscarmax"][0])
    assert float(re.search(r"Worst gap over all operators: (\S+)", ran.stdout)[1]) < 1e-12
    assert "after heavy rain flooded the town." in ran.stdout
    assert "█" in ran.stdout
    assert re.search(r"^Picture: .*regmax-demo.png$", ran.stdout, re.MULTILINE)
    assert re.search(r"^Total: [\d.]+ s$", lines[-1])


@pytest.mark.usefixtures("two_operators")
def test_demo_into_a_folder_replaces_the_picture(tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "regmax-demo.png").write_text("old")
    assert main(["demo", "--out", str(folder)]) == 0
    assert os.listdir(folder) == ["regmax-demo.png"]
    assert is_png(folder / "regmax-demo.png")
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("two_operators")
def test_demo_in_ascii(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["demo"]) == 0
    stream.flush()
    assert b"####" in stream.buffer.getvalue()


@pytest.mark.usefixtures("two_operators")
def test_demo_shows_progress_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["demo"]) == 0
    assert "compiling and running sparsemax" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_every_operator_has_an_example():
    found = examples(load_attention())
    assert [example.operator.name for example in found][: len(OWN)] == OWN
    assert {example.operator.name for example in found} == set(regmax.operators()) - {"tv2dmax"}
    assert all(example.words for example in found[: len(OWN)])


def test_an_operator_without_example_uses_its_samples(monkeypatch):
    class Newmax(regmax.Sparsemax):
        pass

    monkeypatch.setattr(regmax, "operators", lambda: {"softmax": regmax.Softmax, "newmax": Newmax})
    assert [type(example.operator) for example in examples(load_attention())] == [regmax.Softmax, Newmax]


@pytest.mark.parametrize(
    ("operator", "words"),
    [
        (regmax.Softmax(), "gamma=1"),
        (regmax.Entmax(), "alpha=1.5"),
        (regmax.Fusedmax(0.2, gamma=3.0), "lam=0.2 gamma=3"),
        (regmax.Fusedmax(np.ones(2), weights=np.ones(3)), "lam=array weights=array"),
    ],
)
def test_describe(operator, words):
    assert describe(operator) == words


@pytest.fixture(scope="module")
def softmax_result():
    attention = load_attention()
    small = replace(attention, scores=attention.scores[:1])
    return small, measure(Example(regmax.Softmax(), "dense"), small)


def test_many_operators_wrap_within_the_width(softmax_result):
    attention, result = softmax_result
    shown = text.bars(attention, [result] * 20, 24, "utf-8").splitlines()
    assert max(map(len, shown)) <= 100
    assert sum(line.count("softmax") for line in shown) == 20


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no such encoding", None])
def test_bars_fall_back_to_ascii(softmax_result, encoding):
    attention, result = softmax_result
    assert text.bars(attention, [result], 24, encoding).isascii()


def test_a_failing_witness_is_shown(softmax_result, monkeypatch):
    attention, result = softmax_result

    def fails(operator, x):
        raise RuntimeError("no solution")

    monkeypatch.setattr(importlib.import_module("regmax.adapters.cvxpy"), "argmax", fails)
    assert measure(result.example, attention).distance is None
    assert "failed" in text.table([replace(result, distance=None)])


@pytest.mark.parametrize("missing", ["cvxpy", "matplotlib"])
def test_demo_without_an_extra(capsys, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    said = complaint(capsys, ["demo"], "regmax demo")
    assert missing in said
    assert 'pip install "regmax[demo]"' in said


def test_demo_into_no_folder(capsys):
    assert "does not exist" in complaint(capsys, ["demo", "--out", "nowhere"], "regmax demo")


def test_demo_into_a_file(capsys):
    save("file.npy", X)
    assert "not a folder" in complaint(capsys, ["demo", "--out", "file.npy"], "regmax demo")


def test_demo_onto_a_folder(capsys):
    os.mkdir("regmax-demo.png")
    assert "regular file" in complaint(capsys, ["demo"], "regmax demo")


def test_demo_interrupted(capsys, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "measure", interrupt)
    assert main(["demo"]) == 130
    assert os.listdir() == []
    assert capsys.readouterr().err == "regmax demo: interrupted\n"


def test_demo_on_a_full_disk(capsys, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo, "measure", full)
    assert "No space left" in complaint(capsys, ["demo"], "regmax demo")
