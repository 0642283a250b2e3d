"""Mutants of a Python file: one token replaced, in code that computes. Never in texts, annotations,
decorators, assertions, or what is raised.
"""

from __future__ import annotations

import ast
import io
import random
import tokenize
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from types import CodeType

SWAPPED = {
    "+": ("-",), "-": ("+",), "*": ("+",), "//": ("*", "%"), "/": ("*",), "%": ("//",),
    "**": ("*",), "<<": (">>",), ">>": ("<<",), "&": ("|",), "|": ("&", "^"), "^": ("|",),
    "==": ("!=",), "!=": ("==",), "<": ("<=", ">"), "<=": ("<", ">="), ">": (">=", "<"),
    ">=": (">", "<="), "and": ("or",), "or": ("and",), "is": ("is not",), "in": ("not in",),
    "+=": ("-=",), "-=": ("+=",), "|=": ("&=",), "&=": ("|=",), "<<=": (">>=",), ">>=": ("<<=",),
    "any": ("all",), "all": ("any",), "min": ("max",), "max": ("min",), "sync": ("comb",),
    "comb": ("sync",), "True": ("False",), "False": ("True",), "break": ("continue",),
    "continue": ("break",),
}  # fmt: skip
CALLED = ("any", "all", "min", "max")
# Alone, these are one token of two: `not in`, `is not`.
SIGNS = {ast.Not: "not", ast.Invert: "~", ast.USub: "-"}
SKIPPED = (ast.Assert, ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom)
Place = tuple[int, int]


@dataclass(frozen=True)
class Mutant:
    """A token of a file, and what stands there instead.

    Attributes
    ----------
    line, column
        Of the token, from 1 and from 0 (characters).
    statement
        The line at which the innermost statement begins that holds it; 0 outside of functions.
    """

    path: str
    line: int
    column: int
    old: str
    new: str
    statement: int

    def apply(self, source: str) -> str:
        """Return the file with the mutant in it."""
        lines = source.splitlines(keepends=True)
        lines[self.line - 1] = self.changed(lines[self.line - 1])
        return "".join(lines)

    def changed(self, line: str) -> str:
        """Return its line with the mutant in it."""
        end = self.column + len(self.old)
        assert line[self.column : end] == self.old, self
        return line[: self.column] + self.new + line[end:]


class _Finder(ast.NodeVisitor):
    """Find what can be replaced, as (place, new text)."""

    def __init__(self, source: str) -> None:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
        self.tokens = [
            token for token in tokens if token.type in (tokenize.OP, tokenize.NAME, tokenize.NUMBER)
        ]
        self.texts = {token.start: token.string for token in self.tokens}
        self.starts = [token.start for token in self.tokens]
        self.lines = source.splitlines()
        self.found: list[tuple[Place, str, int]] = []
        self.statement, self.inside = 0, False

    def start(self, node: ast.AST) -> Place:
        """Return where a node begins, in characters."""
        line, column = node.lineno, node.col_offset  # type: ignore[attr-defined]
        return line, len(self.lines[line - 1].encode()[:column].decode())

    def end(self, node: ast.AST) -> Place:
        line, column = node.end_lineno, node.end_col_offset  # type: ignore[attr-defined]
        return line, len(self.lines[line - 1].encode()[:column].decode())

    def put(self, place: Place, *news: str) -> None:
        if place in self.texts:
            self.found += [(place, new, self.statement) for new in news]

    def between(self, after: Place, before: Place, wanted: tuple[str, ...]) -> None:
        """Replace the operator that stands between two places, if it is one token."""
        found = [token for token in self.tokens_of(after, before) if token.string not in "()"]
        if len(found) == 1 and found[0].string in wanted:
            self.put(found[0].start, *SWAPPED[found[0].string])

    def tokens_of(self, after: Place, before: Place) -> list[tokenize.TokenInfo]:
        return self.tokens[bisect_left(self.starts, after) : bisect_left(self.starts, before)]

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, SKIPPED):
            return
        before = self.statement
        if isinstance(node, ast.stmt) and self.inside:
            self.statement = node.lineno
        super().visit(node)
        self.statement = before

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for default in (*node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(default)
        before, self.inside = self.inside, True
        for statement in node.body:
            self.visit(statement)
        self.inside = before

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func)
        if name.endswith(("Error", "TypeVar", "cast")) or name.startswith("click."):
            return
        if name.endswith(("m.If", "m.Elif")) and not isinstance(node.args[0], ast.Compare):
            self.between_call(node)
        self.generic_visit(node)

    def between_call(self, node: ast.Call) -> None:
        """Let hardware's condition be the opposite."""
        if self.texts.get(self.end(node.func)) == "(":
            self.put(self.end(node.func), "(0 == ")

    def visit_BinOp(self, node: ast.BinOp) -> None:
        texts = isinstance(node.left, (ast.Constant, ast.JoinedStr)) and not isinstance(
            getattr(node.left, "value", ""), int | float
        )
        if not texts:
            self.between(self.end(node.left), self.start(node.right), tuple(SWAPPED))
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if not ast.unparse(node.target).endswith((".d.comb", ".d.sync")):
            self.between(self.end(node.target), self.start(node.value), tuple(SWAPPED))
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = (node.left, *node.comparators)
        for left, right in zip(sides, sides[1:], strict=False):
            self.between(self.end(left), self.start(right), tuple(SWAPPED))
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in zip(node.values, node.values[1:], strict=False):
            self.between(self.end(left), self.start(right), ("and", "or"))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if type(node.op) in SIGNS:
            self.put(self.start(node), "")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self.put(self.start(node), *SWAPPED[str(node.value)])
        elif isinstance(node.value, int):
            less = str(node.value - 1) if node.value else "2"
            self.put(self.start(node), str(node.value + 1), less)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in CALLED:
            self.put(self.start(node), *SWAPPED[node.id])

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr in CALLED or node.attr in ("sync", "comb"):
            line, column = self.end(node)
            self.put((line, column - len(node.attr)), *SWAPPED[node.attr])
        self.generic_visit(node)

    def visit_Slice(self, node: ast.Slice) -> None:
        for bound in filter(None, (node.lower, node.upper)):
            if isinstance(bound, ast.Name):
                self.put(self.start(bound), f"{bound.id} + 1", f"{bound.id} - 1")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.between_ifs(self.end(node.body), self.start(node.test))
        self.generic_visit(node)

    def visit_Break(self, node: ast.Break) -> None:
        self.put(self.start(node), "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self.put(self.start(node), "break")

    def between_ifs(self, after: Place, before: Place) -> None:
        for token in self.tokens_of(after, before):
            if token.string == "if":
                self.put(token.start, "if not")


@cache
def candidates(path: str, source: str) -> tuple[Mutant, ...]:
    """Return all mutants of a file, also those that its compiler refuses or does not tell apart."""
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    return tuple(
        Mutant(path, *place, finder.texts[place], new, statement)
        for place, new, statement in sorted(set(finder.found))
    )


def differs(mutant: Mutant, source: str) -> bool:
    """Return whether a mutant compiles, to other bytecode."""
    try:
        changed = _meaning(mutant.apply(source))
    except SyntaxError:
        return False
    return changed != _meaning(source)


@lru_cache(maxsize=4)
def _meaning(source: str) -> object:
    """Return what a file compiles to, without where in it that stands."""

    def of(code: CodeType) -> object:
        constants = [
            of(one) if isinstance(one, CodeType) else (type(one), repr(one))
            for one in code.co_consts
        ]
        return (code.co_code, constants, code.co_names, code.co_varnames, code.co_exceptiontable)

    return of(compile(source, "", "exec"))


def draw(sources: dict[str, str], count: int, seed: int) -> list[Mutant]:
    """Return `count` mutants of files (their text by path), or all where there are fewer. A smaller
    count gives the first ones of these.
    """
    every = [mutant for path in sorted(sources) for mutant in candidates(path, sources[path])]
    random.Random(seed).shuffle(every)
    right = (mutant for mutant in every if differs(mutant, sources[mutant.path]))
    return list(islice(right, count))
