"""Processes, threads and pickles."""

import dataclasses
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest

import regmax
from regmax.verify.subject import kinds

from .instances import label, operators

every = pytest.mark.parametrize("operator", operators(6), ids=label)


@every
def test_operators_are_frozen_values(operator):
    again = pickle.loads(pickle.dumps(operator))
    assert again == operator
    assert hash(again) == hash(operator)
    assert operator != regmax.Softmax(gamma=17.0)
    assert all(not v.flags.writeable for v in vars(again).values() if isinstance(v, np.ndarray))
    for field in dataclasses.fields(operator):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(operator, field.name, 2.0)
        value = getattr(operator, field.name)
        if isinstance(value, np.ndarray):
            assert not value.flags.writeable


def test_a_parameter_array_is_copied():
    lam = np.array([0.1, 0.2])
    operator = regmax.Fusedmax(lam)
    lam[0] = -5
    np.testing.assert_array_equal(operator.lam, [0.1, 0.2])


def in_child(queue):
    x = np.random.default_rng(0).normal(size=(3000, 64))
    queue.put(regmax.fusedmax(x))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_processes_started_after_use(method):
    if method not in multiprocessing.get_all_start_methods():
        return
    x = np.random.default_rng(0).normal(size=(3000, 64))
    expected = regmax.fusedmax(x)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=in_child, args=(queue,))
    child.start()
    found = queue.get(timeout=120)
    child.join(timeout=60)
    assert child.exitcode == 0
    np.testing.assert_array_equal(found, expected)


INTERRUPTED = """
import numpy as np, regmax
x = np.zeros((4000, 2000)); x[:] = np.random.default_rng(0).normal(size=2000)
regmax.fusedmax(x[:100])
try:
    print("ready", flush=True)
    while True:
        regmax.fusedmax(x)
except KeyboardInterrupt:
    print("stopped", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("threads", ["1", "2"])
def test_interrupt_between_blocks(threads):
    environment = {**os.environ, "REGMAX_NUM_THREADS": threads}
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], stdout=subprocess.PIPE, env=environment, text=True, cwd=root
    )
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert out == "stopped\n"
    assert child.returncode == 0


def test_warmup_reports_every_operator():
    seen = []
    regmax.warmup(lambda name, done, total: seen.append((name, done, total)))
    assert {name for name, _, _ in seen} == set(kinds())
    assert seen[-1][1] == seen[-1][2] == 2 * len(kinds())


def test_a_name_is_registered_once():
    with pytest.raises(TypeError, match="'fusedmax' is Fusedmax"):
        type("Other", (regmax.Regularizer,), {"name": "fusedmax"})
    assert regmax.operators()["fusedmax"] is regmax.Fusedmax


def test_operators_returns_a_copy():
    regmax.operators().clear()
    assert "fusedmax" in regmax.operators()
