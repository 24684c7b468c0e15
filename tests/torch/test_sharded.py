"""Two processes that share the rows answer as one does."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_two_processes_answer_as_one(tmp_path):
    command = [sys.executable, "-W", "ignore", "-m", "tests.torch.processes"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen(
            [*command, str(rank), "2", str(tmp_path / "meeting")],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        answers = [process.communicate(timeout=300)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    for process, said in zip(running, answers, strict=True):
        assert process.returncode == 0, said
        assert said.strip().endswith("done")
