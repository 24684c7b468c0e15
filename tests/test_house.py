"""The project as a whole: who imports whom, what is shipped, what is documented, what a user's machine may lack."""

import ast
import dataclasses
import importlib
import inspect
import os
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest

import regmax

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"regmax": "regmax", "solvers": "regmax/solvers", "adapters": "regmax/adapters"}
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
LIGHT = sys.stdlib_module_names | {"numpy", "scipy"}
NOT_OURS = (".git", ".venv*", ".nox", "build", "dist", "*.egg-info", "__pycache__", ".*_cache")


def name_of(path):
    return path.relative_to(ROOT).as_posix()


# Who imports whom.


def imports(path):
    """(dots, dotted name, whether at module level) of everything a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    lazy = {id(inner) for node in ast.walk(tree) if isinstance(node, functions) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, id(node) not in lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            stem = f"{node.module}." if node.module else ""
            yield from ((node.level, stem + alias.name, id(node) not in lazy) for alias in node.names)


def is_inside(name, package):
    return name == package or name.startswith(f"{package}.")


def solvers_may(name, eager):
    top = name.partition(".")[0]
    return is_inside(name, "regmax.solvers") or top in LIGHT or top == "numba"


def gpu_may(name, eager):
    return solvers_may(name, eager) or name.partition(".")[0] in ("torch", "triton")


def regmax_may(name, eager):
    """At module level only what is light; a framework only inside the function that needs it, an adapter never."""
    if is_inside(name, "regmax"):
        return not any(is_inside(name, f"regmax.{above}") for above in ("adapters", "bench", "cli", "verify"))
    return not eager or name.partition(".")[0] in LIGHT


def top_may(name, eager):
    """What nothing below imports may use everything, but adapters only when they are needed."""
    return not eager or (name.partition(".")[0] in LIGHT | {"regmax"} and not is_inside(name, "regmax.adapters"))


def adapter_may(framework):
    def may(name, eager):
        return name.partition(".")[0] in LIGHT | {"regmax", framework} and not is_inside(name, "regmax.cli")

    return may


def rule_for(path):
    parts = path.relative_to(ROOT).parts
    if parts[0] == "solvers":
        return gpu_may if parts[1] == "gpu" else solvers_may
    if parts[0] == "adapters":
        return adapter_may(parts[1].removesuffix(".py"))
    return top_may if parts[1] in ("bench", "cli", "verify", "__main__.py") else regmax_may


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_go_down(path):
    may = rule_for(path)
    for dots, name, eager in imports(path):
        assert dots < 2, f"{name_of(path)} reaches above its folder for {name}"
        assert dots or may(name, eager), f"{name_of(path)} must not import {name}"


def run_python(code, folder, **environment):
    """Standard output of ``python -c code`` in ``folder``, warnings as errors; an environment value None is unset."""
    whole = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    whole = {key: value for key, value in whole.items() if value is not None}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=folder, env=whole, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.strip()


def test_import_is_light():
    code = "import regmax, sys; print(*sys.modules)"
    loaded = run_python(code, ROOT, PYTHONPATH=str(ROOT)).split()
    heavy = {
        "torch",
        "jax",
        "cvxpy",
        "matplotlib",
        "pandas",
        "sklearn",
        "regmax.adapters",
        "regmax.cli",
        "regmax.solvers.gpu",
    }
    assert not heavy & set(loaded)


# What is shipped.


def copy_of_the_tree(folder):
    return Path(shutil.copytree(ROOT, folder / "copy", ignore=shutil.ignore_patterns(*NOT_OURS)))


@pytest.fixture(scope="session")
def distributions(tmp_path_factory):
    """The wheel, built from the sdist, and the sdist."""
    folder = tmp_path_factory.mktemp("build")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist")]
    done = subprocess.run([*command, str(copy_of_the_tree(folder))], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,), (sdist,) = (folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="session")
def installed(distributions, tmp_path_factory):
    """A folder that holds the installed wheel and nothing else."""
    target = tmp_path_factory.mktemp("target")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    done = subprocess.run([*command, str(distributions[0])], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def shipped():
    """(path in the repository, path in the wheel) of every file a user needs."""
    data = [path for path in (ROOT / "regmax").rglob("*") if path.suffix in (".npz", ".typed", ".md")]
    stubs = list((ROOT / "adapters").rglob("*.pyi"))
    for path in SOURCES + data + stubs:
        folder, _, rest = name_of(path).partition("/")
        yield name_of(path), f"{FOLDERS[folder]}/{rest}"


def test_the_wheel_holds_everything(distributions):
    with zipfile.ZipFile(distributions[0]) as archive:
        found = set(archive.namelist())
    assert not {inside for _, inside in shipped()} - found
    assert not {name for name in found if name.startswith(("solvers/", "adapters/", "tests/", "docs/"))}


def test_the_sdist_holds_everything(distributions):
    with tarfile.open(distributions[1]) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    assert not {path for path, _ in shipped()} - found
    assert {"pyproject.toml", "README.md", "LICENSE"} <= found


def test_the_wheel_answers_elsewhere(installed, tmp_path):
    code = "import regmax.solvers; print(regmax.solvers.__file__); print(regmax.fusedmax([1, 2.1, 1.9]).round(6))"
    where, answer = run_python(code, tmp_path, PYTHONPATH=str(installed)).splitlines()
    assert Path(where).is_relative_to(installed)
    assert answer == "[0.  0.5 0.5]"


def test_the_command_is_installed(installed, tmp_path):
    code = "import sys; from regmax.cli import main; sys.exit(main(['--version']))"
    assert run_python(code, tmp_path, PYTHONPATH=str(installed)) == f"regmax {regmax.__version__}"


def test_nothing_writable_still_answers(installed, tmp_path):
    nowhere = str(tmp_path / "missing" / "home")
    code = "import regmax; print(regmax.sparsemax([1.0, 2.0]), regmax.solvers._jit.cache_directory())"
    shut = {"HOME": nowhere, "XDG_CACHE_HOME": None, "REGMAX_CACHE_DIR": "/dev/null/x"}
    assert run_python(code, tmp_path, PYTHONPATH=str(installed), **shut) == "[0. 1.] None"


def test_no_home_still_answers(installed, tmp_path):
    (tmp_path / "file").touch()
    shut = {"HOME": str(tmp_path / "file"), "XDG_CACHE_HOME": None, "REGMAX_CACHE_DIR": None, "NUMBA_CACHE_DIR": None}
    code = "import regmax; print(regmax.sparsemax([1.0, 2.0]))"
    assert run_python(code, tmp_path, PYTHONPATH=str(installed), **shut) == "[0. 1.]"


def test_an_edited_callee_is_seen_despite_the_cache(tmp_path):
    tree, cache = copy_of_the_tree(tmp_path), tmp_path / "cache"
    code = "import regmax; print(regmax.Sparsemax(gamma=2.0).jacobian([0.5, 0.5], [1.0, 0.0]))"
    places = {"PYTHONPATH": str(tree), "REGMAX_CACHE_DIR": str(cache)}
    assert run_python(code, tmp_path, **places) == "[ 0.25 -0.25]"
    assert any(cache.rglob("*.nbi"))
    assert run_python(code, tmp_path, **places) == "[ 0.25 -0.25]"
    callee = tree / "solvers" / "softmax.py"
    before = callee.read_text(encoding="utf-8")
    after = before.replace("one / gamma", "one * gamma")
    assert after != before
    callee.write_text(after, encoding="utf-8")
    assert run_python(code, tmp_path, **places) == "[ 1. -1.]"


# What is documented.


def adapters():
    """Every adapter whose framework is installed; what begins with an underscore is no one's business."""
    for path in sorted((ROOT / "adapters").rglob("*.py")):
        if path.name.startswith("_") and path.name != "__init__.py":
            continue
        name = ".".join(("regmax", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        try:
            yield importlib.import_module(name)
        except ModuleNotFoundError as missing:
            if is_inside(missing.name or "", "regmax"):
                raise


def public():
    """(qualified name, object) of everything a user may import."""
    yield from ((f"regmax.{name}", getattr(regmax, name)) for name in regmax.__all__ if name != "__version__")
    for module in adapters():
        yield from ((f"{module.__name__}.{item}", getattr(module, item)) for item in getattr(module, "__all__", ()))


PUBLIC = dict(public())


def section(text, title):
    """The lines of one section of a docstring."""
    found = re.search(rf"^{title}\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def parameters(thing):
    if dataclasses.is_dataclass(thing):
        return [field.name for field in dataclasses.fields(thing)]
    if inspect.isclass(thing) and not thing.__module__.startswith("regmax.adapters.torch"):
        return []
    return list(inspect.signature(thing).parameters)


@pytest.mark.parametrize("name", PUBLIC)
def test_documented(name):
    thing = PUBLIC[name]
    text = inspect.cleandoc(thing.__doc__ or "")
    assert re.match(r"\S.*[.:]", text), "no first sentence"
    described = dict(re.findall(r"^(\w+) : (.+)$", section(text, "Parameters"), re.MULTILINE))
    assert list(described) == parameters(thing)
    for parameter, kind in described.items():
        if "array_like" in kind or kind.startswith("array"):
            assert re.search(r"shape|broadcast", kind), f"no shape for {parameter}"
    assert section(text, "Raises") or "Raises nothing" in text, "nothing about errors"
    assert "Source:" in text


@pytest.mark.parametrize("name", [name for name in PUBLIC if inspect.isclass(PUBLIC[name])])
def test_methods_are_documented(name):
    for method, value in inspect.getmembers(PUBLIC[name]):
        if not method.startswith("_") and callable(value):
            assert (inspect.getdoc(value) or "").strip(), f"{name}.{method}"


# What every public class is.


def instances():
    for kind in regmax.operators().values():
        yield from kind.samples(4)
    yield regmax.Softmax().certify(np.zeros(2), np.full(2, 0.5))


@pytest.mark.parametrize("thing", list(instances()), ids=repr)
def test_frozen_and_picklable(thing):
    copy = pickle.loads(pickle.dumps(thing))
    assert copy == thing
    assert repr(copy) == repr(thing)
    assert hash(copy) == hash(thing)
    first = dataclasses.fields(thing)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(thing, first, 1.0)


# What every file is.


def walk():
    skip = [re.compile(pattern.replace(".", r"\.").replace("*", ".*")) for pattern in NOT_OURS]
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not any(pattern.fullmatch(name) for pattern in skip)]
        yield from (Path(folder) / name for name in names)


def project_files():
    """Every text file of the project: what git would keep, or without git everything but caches and builds."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        paths = [ROOT / name for name in listed]
    except (OSError, subprocess.CalledProcessError):
        paths = list(walk())
    return [path for path in paths if path.is_file() and path.suffix not in (".png", ".npz", ".pyc")]


def test_no_machine_paths_and_no_registries():
    machine = re.compile(r"(?<![\w.~/-])/(?:work|root|tmp|home|Users)\b")
    registry = re.compile(r"\b(?:pypi|pythonhosted|anaconda|npmjs)\.(?:org|com)\b")
    for path in project_files():
        text = path.read_text(encoding="utf-8")
        assert not machine.search(text), f"{name_of(path)}: {machine.search(text)[0]}"
        assert not registry.search(text), f"{name_of(path)}: {registry.search(text)[0]}"


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"]["attr"] == "regmax._version.__version__"
    citation = (ROOT / "docs" / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == regmax.__version__
    assert f"[{regmax.__version__}]" in (ROOT / "docs" / "changelog.md").read_text(encoding="utf-8")


def test_every_package_is_listed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {path.parent for path in SOURCES} - {ROOT / folder for folder in FOLDERS}
    inside = {name_of(path).replace("/", ".") for path in folders} | {"regmax", "solvers", "adapters"}
    assert {name if is_inside(name, "regmax") else f"regmax.{name}" for name in inside} == set(listed)


def test_tools_have_one_version():
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "tests/constraints.txt").read_text("utf-8"), re.MULTILINE))
    hooks = re.findall(r'"(ruff|codespell|mypy)==([\w.]+)"', (ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    assert hooks
    assert all(pinned[tool] == version for tool, version in hooks)
