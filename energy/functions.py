"""Boolean functions as Liberty writes them: `!(A*B)+C'`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import product

from golden.errors import UserError

# An operator of the tree, and its arguments; a name; or a constant.
Tree = tuple[str, "Tree", "Tree"] | tuple[str, "Tree"] | str

_TOKEN = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_\[\]]*|[01]|[()!'^*&+|])")
_LEVELS = (("+", "|"), ("^",), ("*", "&"))  # from what binds least; two names side by side: and


def parse(text: str) -> Tree:
    """Return the tree of a function, or raise `UserError`."""
    tokens: list[str] = []
    rest = text.strip()
    while rest:
        found = _TOKEN.match(rest)
        if found is None:
            raise UserError(f'"{text}" is no function of Liberty: {rest[0]} has no meaning in it')
        tokens.append(found[1])
        rest = rest[found.end() :].lstrip()
    tree, left = _binary(tokens, 0, text)
    if left:
        raise UserError(f'"{text}" is no function of Liberty: {left[0]} is one too many')
    return tree


def _binary(tokens: list[str], level: int, text: str) -> tuple[Tree, list[str]]:
    if level == len(_LEVELS):
        return _unary(tokens, text)
    tree, rest = _binary(tokens, level + 1, text)
    while rest:
        adjacent = level == len(_LEVELS) - 1 and rest[0] not in ")'^*&+|"
        if rest[0] not in _LEVELS[level] and not adjacent:
            break
        right, rest = _binary(rest if adjacent else rest[1:], level + 1, text)
        tree = (_LEVELS[level][-1], tree, right)
    return tree, rest


def _unary(tokens: list[str], text: str) -> tuple[Tree, list[str]]:
    if not tokens or tokens[0] in ")'^*&+|":
        raise UserError(f'"{text}" is no function of Liberty: a name is missing')
    if tokens[0] == "!":
        tree, rest = _unary(tokens[1:], text)
        return ("!", tree), rest
    if tokens[0] == "(":
        tree, rest = _binary(tokens[1:], 0, text)
        if not rest or rest[0] != ")":
            raise UserError(f'"{text}" is no function of Liberty: a ) is missing')
        rest = rest[1:]
    else:
        tree, rest = tokens[0], tokens[1:]
    while rest and rest[0] == "'":
        tree, rest = ("!", tree), rest[1:]
    return tree, rest


def names(tree: Tree) -> list[str]:
    """Return the names in a tree, each once, in their order."""
    if isinstance(tree, str):
        return [] if tree in "01" else [tree]
    return list(dict.fromkeys(name for part in tree[1:] for name in names(part)))


def evaluate(tree: Tree, values: Mapping[str, bool]) -> bool:
    """Return a function's value."""
    if isinstance(tree, str):
        return tree == "1" if tree in "01" else values[tree]
    inputs = [evaluate(part, values) for part in tree[1:]]
    match tree[0]:
        case "!":
            return not inputs[0]
        case "|":
            return inputs[0] or inputs[1]
        case "&":
            return inputs[0] and inputs[1]
    return inputs[0] != inputs[1]


def verilog(tree: Tree, wires: Mapping[str, str]) -> str:
    """Return a function as a Verilog expression, with `wires` in place of its names."""
    if isinstance(tree, str):
        return f"1'b{tree}" if tree in "01" else wires[tree]
    inputs = [verilog(part, wires) for part in tree[1:]]
    return f"~{inputs[0]}" if tree[0] == "!" else f"({f' {tree[0]} '.join(inputs)})"


def truth(tree: Tree, inputs: list[str]) -> str:
    """Return the values of a function for all values of its inputs, as a text of 0 and 1."""
    return "".join(
        str(int(evaluate(tree, dict(zip(inputs, values, strict=True)))))
        for values in product((False, True), repeat=len(inputs))
    )
