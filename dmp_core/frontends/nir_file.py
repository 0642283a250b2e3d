"""NIR graphs as nodes of plain values: from files, also those that `nir.read` refuses but that hold
the graph, and from `nir.NIRGraph`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np

from golden.errors import UserError
from golden.hdf5 import read_hdf5
from golden.inputs import reading

MOST = 1 << 40  # of a size, a stride, and the like: products of it with small ones fit 64 bits


def text(value: Any) -> str:
    """Return a string that a file holds as text or bytes, alone or in an array."""
    while isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    return value.decode("utf8", "replace") if isinstance(value, bytes) else str(value)


@dataclass(frozen=True)
class Node:
    """A node of a graph.

    Parameters
    ----------
    name
        Its own, after those of the subgraphs that it is in, with dots between them.
    kind
        Its type's name, for example `LIF`.
    values
        By name, as the file has them: numbers of any type, also each in a group of its own.
    """

    name: str
    kind: str
    values: Mapping[str, Any]

    def error(self, message: str) -> UserError:
        """Return an error that names the node."""
        return UserError(f"{self.name} ({self.kind}): {message}")

    def value(self, key: str) -> Any:
        """Return a value, or None where the node has none of this name."""
        found = self.values.get(key)
        while isinstance(found, Mapping) and len(found) == 1:
            found = next(iter(found.values()))
        return found

    def numbers(self, key: str, default: float | None = None, infinite: bool = False) -> np.ndarray:
        """Return a value as float64 of any shape; raise `UserError` where it is missing and has no
        default, is no number, or is infinite and must not be.
        """
        found = self.value(key)
        found = default if found is None else found
        if found is None:
            raise self.error(f"it has no {key}: write the file again, with it")
        try:
            numbers = np.asarray(found, np.float64)
        except (TypeError, ValueError, RuntimeError):
            shown = " ".join(str(found).split())[:40]
            raise self.error(f"{key} is '{shown}': use numbers") from None
        strange = numbers[~np.isfinite(numbers)]
        if infinite:
            strange = strange[np.isnan(strange)]
        if strange.size:
            raise self.error(f"{key} has a value of {strange[0]}: use finite numbers")
        return numbers

    def wholes(self, key: str, count: int, default: int | None = None) -> tuple[int, ...]:
        """Return whole numbers of 0 or more, of which one may stand for all."""
        found = self.numbers(key, default).reshape(-1)
        if len(found) not in (1, count) or (found != np.round(found)).any() or (found < 0).any():
            shown = ", ".join(f"{number:g}" for number in found)
            raise self.error(f"{key} is {shown}: use {count} whole numbers of 0 or more, or one")
        if (found >= MOST).any():
            raise self.error(f"{key} is {found.max():g}: use less than {MOST}")
        return tuple(int(number) for number in np.broadcast_to(found, (count,)))

    def shape(self, *keys: str) -> tuple[int, ...] | None:
        """Return the shape that the first of these values gives; None where it has none of them."""
        for key in keys:
            if self.value(key) is not None:
                sizes = self.wholes(key, np.size(self.value(key)))
                if not sizes or 0 in sizes:
                    raise self.error(f"{key} is {sizes}: use sizes of 1 or more")
                return sizes
        return None

    def edges(self) -> list[tuple[str, str]]:
        """Return the edges of a graph, each once, in their order."""
        found = self.value("edges")
        pairs = np.empty((0, 2)) if found is None else np.asarray(found, object)
        if not pairs.size:
            raise self.error(
                "it has no edges, and so nothing says which node follows which: write the file"
                " again, with edges"
            )
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise self.error(f"edges of shape {pairs.shape}: use pairs of names")
        return list(dict.fromkeys((text(a), text(b)) for a, b in pairs))


def node_of(name: str, content: Any) -> Node:
    """Return the node with this content."""
    if not isinstance(content, Mapping) or "type" not in content:
        raise UserError(f"{name}: it has no type: use a node of NIR")
    return Node(name, text(content["type"]), content)


def read_graph(source: str | Path | nir.NIRGraph) -> Node:
    """Return the graph as a node of kind `NIRGraph`, or raise `UserError`."""
    if isinstance(source, nir.NIRNode):
        name, content = "graph", source.to_dict()
    elif not isinstance(source, str | Path):
        raise UserError(
            f"a source of type {type(source).__name__}: use the path of a NIR file, or a"
            " nir.NIRGraph"
        )
    else:
        name, content = Path(source).name, _read(Path(source))
    graph = node_of(name, content)
    if graph.kind != "NIRGraph":
        raise graph.error("it is a node alone: use a NIRGraph")
    return graph


def _read(path: Path) -> Any:
    """Return what stands in a file, its groups as dictionaries."""
    if not path.is_file():
        raise UserError(f"no file {path}: use the path of a NIR file")
    with reading(path, "use a NIR file (HDF5)"):
        content = read_hdf5(path)
    found = content.get("node", content)
    if not isinstance(found, Mapping) or "nodes" not in found and "type" not in found:
        raise UserError(f"{path} holds no NIR graph (no group 'node'): use a NIR file")
    return {"type": "NIRGraph", **found}
