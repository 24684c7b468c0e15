"""What the tests of the command line share."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest

from regmax.cli import main

X = np.random.default_rng(0).normal(size=(4, 5, 6)) * 2
OWN = ["softmax", "entmax", "sparsemax", "pnormmax", "normmax", "topkmax", "budgetmax", "fusedmax", "oscarmax"]
OWN += ["graphfusedmax", "plaplacemax", "kregularmax"]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Every test works in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)


def save(name, array):
    np.save(name, array)
    return name


def python(*arguments, **environment):
    """``python -m regmax`` with the modules of this process."""
    paths = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    return subprocess.run(
        [sys.executable, "-m", "regmax", *arguments],
        env={**os.environ, "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


def complaint(capsys, arguments, prefix):
    """The one sentence on standard error for bad input."""
    before = sorted(os.listdir())
    code = main(arguments)
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), (code, out, err)
    assert err.startswith(prefix + ": "), err
    assert err.count("\n") == 1, err
    assert err.endswith("\n"), err
    assert sorted(os.listdir()) == before, os.listdir()
    return err


class Terminal(io.StringIO):
    def isatty(self):
        return True
