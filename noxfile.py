"""The checks of .ci/run and a few more, each in its own environment: ``nox``, or ``nox -s tests``."""

from pathlib import Path

import nox

PINS = ("-c", "tests/constraints.txt")

nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "venv"


@nox.session
def lint(session: nox.Session) -> None:
    """Style, formatting and spelling."""
    session.install(*PINS, "ruff", "codespell")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell")


@nox.session
def types(session: nox.Session) -> None:
    """Types. regmax is installed because only there solvers and adapters lie inside it."""
    session.install(*PINS, "mypy", ".")
    session.run("mypy", ".")


@nox.session
def tests(session: nox.Session) -> None:
    """The test command of README.md; what follows ``--`` goes to pytest."""
    session.install(*PINS, "-e", ".[test]")
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session
def exhaustive(session: nox.Session) -> None:
    """The long sweeps that the default run leaves out."""
    session.install(*PINS, "-e", ".[test]")
    session.run("pytest", "-n", "2", "-m", "exhaustive", *session.posargs)


@nox.session(name="docs-pictures")
def docs_pictures(session: nox.Session) -> None:
    """Draw the pictures of docs/ again."""
    session.install(*PINS, ".[docs]")
    for script in sorted(Path("docs/pictures").glob("*.py")):
        session.run("python", str(script))
