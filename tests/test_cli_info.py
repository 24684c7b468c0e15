"""``regmax info``: versions, threads, the cache, and which backends answer."""

import importlib
import json
import re
import sys

import numpy as np
import pytest

import regmax
from regmax.cli import info, main

from .cli import OWN
from .cli import empty_folder as empty_folder  # runs around every test


def test_info(capsys):
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"numpy +answers$", out, re.MULTILINE)
    for name in (*OWN, regmax.__version__, np.__version__, "threads", "cache"):
        assert name in out


def test_info_as_json(capsys):
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["versions"]["regmax"] == regmax.__version__
    assert found["threads"] == regmax.get_num_threads()
    assert found["backends"]["numpy"] == "answers"
    assert found["backends"]["cvxpy"] == "answers"
    assert found["operators"]["fusedmax"] == ["lam", "gamma", "weights"]


@pytest.mark.parametrize(("backend", "extra"), [("torch", "torch"), ("matplotlib", "plot"), ("cvxpy", "verify")])
def test_info_without_a_backend(capsys, monkeypatch, backend, extra):
    monkeypatch.setitem(sys.modules, backend, None)
    monkeypatch.delitem(sys.modules, "regmax.adapters.cvxpy", raising=False)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    assert main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["backends"][backend] == f'not installed: pip install "regmax[{extra}]"'


def test_info_about_a_broken_backend(capsys, monkeypatch):
    def broken():
        raise OSError("libtorch.so: cannot open shared object file")

    monkeypatch.setitem(info._BACKENDS, "torch", ("torch", broken))
    main(["info"])
    assert "does not import: libtorch.so" in capsys.readouterr().out


def test_info_about_a_failing_solver(capsys, monkeypatch):
    def fails(operator, x):
        raise RuntimeError("no solution")

    monkeypatch.setattr(importlib.import_module("regmax.adapters.cvxpy"), "argmax", fails)
    main(["info"])
    assert "does not answer: no solution" in capsys.readouterr().out


def test_info_about_a_wrong_backend(capsys, monkeypatch):
    monkeypatch.setattr(regmax, "sparsemax", lambda x: np.ones(3))
    main(["info"])
    assert "answers wrongly: [1.0, 1.0, 1.0]" in capsys.readouterr().out


def test_info_without_cache(capsys, monkeypatch):
    monkeypatch.setattr(info, "cache_directory", lambda: None)
    monkeypatch.setattr(info, "_PACKAGES", ("absent",))
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert "compiled anew in every process" in out
    assert re.search(r"absent +not installed", out)
