"""The command line itself: version, help, mistakes, and a reader that left."""

import ctypes
import os
import signal
import subprocess
import sys
import time
import weakref

import pytest

import regmax
from regmax.cli import info, main
from regmax.cli.termination import Terminated, terminable
from regmax.verify.runner import InProcess

from .cli import complaint, python
from .cli import empty_folder as empty_folder  # runs around every test


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"regmax {regmax.__version__}\n"


@pytest.mark.parametrize("command", [[], ["demo"], ["verify"], ["bench"], ["info"], ["map"]])
def test_help(capsys, command):
    assert main([*command, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(" ".join(["usage: regmax", *command]))


@pytest.mark.parametrize(
    ("arguments", "prefix", "words"),
    [
        ([], "regmax", "COMMAND"),
        (["frobnicate"], "regmax", "choose from"),
        (["demo", "--outt", "."], "regmax demo", "did you mean --out?"),
        (["demo", "stray"], "regmax demo", "there is no option stray"),
        (["info", "--lam", "3"], "regmax info", "--lam"),
        (["map", "--op", "softmax"], "regmax map", "--in"),
        (["map", "--op", "a", "--in", "b", "--out", "c", "--axis", "d"], "regmax map", "--axis"),
        (["map", "--op", "a", "--in", "b", "--out", "c", "--lamb", "1"], "regmax map", "did you mean --lam?"),
    ],
)
def test_mistakes_on_the_command_line(capsys, arguments, prefix, words):
    assert words in complaint(capsys, arguments, prefix)


def test_module_runs():
    ran = python("--version")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"regmax {regmax.__version__}\n", "")


def test_a_closed_pipe_is_no_error(monkeypatch):
    def closed(options):
        raise BrokenPipeError

    monkeypatch.setattr(info, "run", closed)
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["info"]) == 141


def _in_a_callback_from_c(ask):
    ctypes.CFUNCTYPE(None)(ask)()


def _in_a_finalizer(ask):
    weakref.finalize(set(), ask)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")
@pytest.mark.parametrize("drop", [_in_a_callback_from_c, _in_a_finalizer])
def test_a_request_to_end_that_python_drops_is_made_again(drop):
    before = signal.getsignal(signal.SIGTERM), sys.unraisablehook
    with terminable():
        drop(lambda: signal.raise_signal(signal.SIGTERM))
        with pytest.raises(Terminated):
            time.sleep(60)
    assert (signal.getsignal(signal.SIGTERM), sys.unraisablehook) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")
def test_a_request_to_end_is_no_failure_of_the_solver():
    def asked(x):
        signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Terminated), terminable():
        InProcess(asked, None).solve(None, {})


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")
def test_a_request_to_end_leaves_nothing_behind(tmp_path):
    paths = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    command = [sys.executable, "-m", "regmax", "verify", "--json", "report.json"]
    child = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.DEVNULL)
    with child:
        for _ in range(600):
            if list(tmp_path.iterdir()):
                break
            time.sleep(0.1)
        assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
        child.terminate()
        assert child.wait(timeout=60) == 143
    assert not list(tmp_path.iterdir())
