"""Processes that share the rows answer as one does."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("sides", [(2,), (1, 2), (2, 2)], ids=str)
def test_processes_answer_as_one(sides, tmp_path):
    command = [sys.executable, "-W", "ignore", "-m", "tests.torch.processes"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen(
            [*command, str(rank), "x".join(map(str, sides)), str(tmp_path / "meeting")],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(math.prod(sides))
    ]
    try:
        answers = [process.communicate(timeout=300)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    for process, said in zip(running, answers, strict=True):
        assert process.returncode == 0, said
        assert said.strip().endswith("done")
