"""The stub file says what the registry says."""

import ast

from .stub import FILE, text


def test_the_stub_is_that_of_the_registry():
    assert ast.dump(ast.parse(FILE.read_text(encoding="utf-8"))) == ast.dump(ast.parse(text()))
