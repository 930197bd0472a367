"""Nothing in the view is there for show alone."""

from __future__ import annotations

import ast
from pathlib import Path

import frameperfect

PACKAGE = Path(frameperfect.__file__).parent
Defined = ast.FunctionDef | ast.ClassDef


def names_in(tree: ast.AST) -> set[str]:
    """Every name and attribute that code uses."""
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return found | {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }


def definitions(tree: ast.Module) -> list[Defined]:
    """Functions and classes of a module, and the methods of its classes."""
    top = [node for node in tree.body if isinstance(node, Defined)]
    return top + [
        node
        for each in top
        if isinstance(each, ast.ClassDef)
        for node in each.body
        if isinstance(node, Defined)
    ]


def test_every_public_function_of_the_view_is_used_by_a_command() -> None:
    trees = [ast.parse(path.read_text()) for path in sorted((PACKAGE / "view").rglob("*.py"))]
    defined = [node for tree in trees for node in definitions(tree)]
    used = set().union(*(names_in(ast.parse(path.read_text())) for path in (PACKAGE / "cli").rglob("*.py")))
    while True:  # what a used part of the view uses is used as well
        reached = used.union(
            *(_own_names(node) for node in defined if node.name in used or node.name.startswith("__"))
        )
        if reached == used:
            break
        used = reached
    public = {node.name for node in defined if not node.name.startswith("_")}
    assert len(public) > 100
    assert public <= used, sorted(public - used)


def _own_names(node: Defined) -> set[str]:
    """What a definition uses: of a class, what lies outside its methods, which count for themselves."""
    if isinstance(node, ast.FunctionDef):
        return names_in(node)
    outside = [part for part in node.body if not isinstance(part, Defined)]
    return set().union(*(names_in(part) for part in [*outside, *node.bases, *node.decorator_list]))
