"""Every Python block of README.md and docs/ runs; blocks of one page share a namespace, in order."""

import doctest
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```python(?P<title>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:)(?P<path>[^)#\s]*)(?:#(?P<anchor>[^)]*))?\)")


def blocks(page):
    """(title, code, line) of each Python block; the line is that of the fence."""
    text = page.read_text(encoding="utf-8")
    return [(m["title"].strip(), m["code"], text.count("\n", 0, m.start()) + 1) for m in FENCE.finditer(text)]


def name_of(page):
    return page.relative_to(ROOT).as_posix()


def run_block(code, namespace, page, line):
    """Run a block, as a doctest where it has prompts."""
    name = f"{name_of(page)}:{line}"
    if not code.startswith(">>>"):
        exec(compile("\n" * line + code, name_of(page), "exec"), namespace)
        return
    test = doctest.DocTestParser().get_doctest(code, namespace, name, name_of(page), line)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report = []
    runner.run(test, out=report.append, clear_globs=False)
    namespace.update(test.globs)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)


def run_in_a_copy(page, folder):
    """Write the blocks that carry a file name into a copy of the project, then run the others there."""
    for part in ("regmax", "solvers", "adapters"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    script = []
    for title, code, _ in blocks(page):
        path, _, mode = title.partition(" ")
        if not path:
            script.append(code)
        elif mode == "+":
            (folder / path).write_text((folder / path).read_text(encoding="utf-8") + code, encoding="utf-8")
        else:
            assert not (folder / path).exists(), f"{path} exists already"
            (folder / path).write_text(code, encoding="utf-8")
    (folder / "page.py").write_text("\n".join(script), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(folder), "REGMAX_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-W", "error", "page.py"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_run(page, tmp_path):
    if any(title for title, _, _ in blocks(page)):
        done = run_in_a_copy(page, tmp_path)
        assert done.returncode == 0, done.stderr
        return
    namespace = {"__name__": "__docs__"}
    for _, code, line in blocks(page):
        run_block(code, namespace, page, line)


def anchors(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        target = (page.parent / link["path"]).resolve() if link["path"] else page
        assert target.exists(), f"{name_of(page)}: {link[0]}"
        if link["anchor"]:
            assert link["anchor"] in anchors(target), f"{name_of(page)}: {link[0]}"


def test_every_picture_has_its_script():
    pictures = [path for path in (ROOT / "docs" / "pictures").glob("*.*") if path.suffix in (".png", ".svg")]
    made_by_the_demo = {"demo"}
    assert all(path.with_suffix(".py").exists() or path.stem in made_by_the_demo for path in pictures)
