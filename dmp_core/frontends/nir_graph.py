"""The order of a graph: one chain of nodes from its Input to its Output, in which a neuron's spikes
may come back to it. Subgraphs become part of the chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dmp_core.frontends.nir_file import Node, node_of

NEURONS = ("LIF", "IF", "CubaLIF", "Threshold")
LINEAR = ("Affine", "Linear", "Scale", "Flatten", "Conv1d", "Conv2d", "SumPool2d", "AvgPool2d")
OTHERS = ("Input", "Output", "Delay", "LI", "CubaLI", "I")
KINDS = (*LINEAR, *NEURONS, *OTHERS)


@dataclass(frozen=True)
class Step:
    """A node of the chain, and those through which its spikes come back to it; None: they do
    not.
    """

    node: Node
    back: tuple[Node, ...] | None = None


@dataclass
class _Flat:
    """The graph without subgraphs: nodes by name, and for each what follows it."""

    nodes: dict[str, Node] = field(default_factory=dict)
    after: dict[str, list[str]] = field(default_factory=dict)

    def before(self, name: str) -> list[str]:
        return [other for other, following in self.after.items() if name in following]

    def add(self, graph: Node, prefix: str = "") -> tuple[str, str]:
        """Add the nodes and edges of a graph; return the names of its Input and Output."""
        contents = graph.values.get("nodes")
        if not isinstance(contents, Mapping) or not contents:
            raise graph.error("it has no nodes: write the file again, with them")
        edges = graph.edges()
        doors: dict[str, tuple[str, str]] = {}  # by a node's name: where edges enter and leave it
        ends: dict[str, list[str]] = {"Input": [], "Output": []}
        for own, content in contents.items():
            node = node_of(f"{prefix}{own}", content)
            if node.kind == "NIRGraph":
                doors[own] = self.add(node, f"{node.name}.")
                continue
            if node.kind not in KINDS:
                raise node.error(f"no such node is known: use {', '.join(KINDS)}, or NIRGraph")
            self.nodes[node.name], self.after[node.name] = node, []
            doors[own] = node.name, node.name
            if node.kind in ends:
                ends[node.kind].append(node.name)
        for a, b in edges:
            for end in (a, b):
                if end not in doors:
                    raise graph.error(
                        f"an edge leads from '{a}' to '{b}', but it has no node '{end}': use those"
                        f" that it has ({', '.join(doors)})"
                    )
            self.after[doors[a][1]].append(doors[b][0])
        for kind, names in ends.items():
            if len(names) != 1:
                found = f"{len(names)} nodes ({', '.join(names)})" if names else "no node"
                raise graph.error(f"it has {found} of kind {kind}: use one")
        return ends["Input"][0], ends["Output"][0]

    def check_ends(self, first: str, last: str) -> None:
        """Raise `UserError` where an end of a node dangles."""
        for name, following in self.after.items():
            if not following and name != last:
                raise self.nodes[name].error(
                    "no edge leads on from it: connect it, or leave it out"
                )
            if name != first and not self.before(name):
                raise self.nodes[name].error("no edge leads to it: connect it, or leave it out")

    def join_doors(self, first: str, last: str) -> None:
        """Remove the Inputs and Outputs of subgraphs."""
        for name, node in list(self.nodes.items()):
            if node.kind in ("Input", "Output") and name not in (first, last):
                following = self.after.pop(name)
                if name in following:
                    raise self._circle([name])
                del self.nodes[name]
                for other in self.after.values():
                    if name in other:
                        at = other.index(name)
                        other[at : at + 1] = following

    def loop(self, first: str, home: str) -> list[str] | None:
        """Return the names from `first` on, if each leads to one node and the last one to `home`;
        else None.
        """
        found: list[str] = []
        while first != home:
            if first in found or len(self.after[first]) != 1:
                return None
            found.append(first)
            first = self.after[first][0]
        return found

    def way(self, start: str, goal: str) -> list[str] | None:
        """Return the names on a shortest way; None where there is none."""
        ways = [[start]]
        seen = {start}
        while ways:
            done = ways.pop(0)
            if done[-1] == goal:
                return done
            for following in self.after[done[-1]]:
                if following not in seen:
                    seen.add(following)
                    ways.append([*done, following])
        return None

    def step(self, name: str, came: str | None) -> tuple[Step, list[str]]:
        """Return the step of a node at which the chain arrives from `came`, and what follows it."""
        node, onward = self.nodes[name], []
        back: list[str] | None = None
        expected = {came}
        for following in self.after[name]:
            loop = self.loop(following, name)
            if loop is None:
                onward.append(following)
                continue
            if node.kind not in NEURONS or any(self.nodes[n].kind not in LINEAR for n in loop):
                raise self._circle([name, *loop])
            if back is not None:
                raise node.error("its spikes come back to it in two ways: use one")
            back = loop
            expected.add(loop[-1] if loop else name)
        self._check_joins(name, expected)
        nodes = None if back is None else tuple(self.nodes[n] for n in back)
        return Step(node, nodes), onward

    def _check_joins(self, name: str, expected: set[str | None]) -> None:
        """Raise `UserError` where edges lead to a node from others than the expected ones."""
        for other in self.before(name):
            if other in expected:
                continue
            way = self.way(name, other)
            if way is not None:
                raise self._circle(way)
            known = [known for known in expected if known]
            raise self.nodes[name].error(
                f"edges lead to it from {' and '.join([*known, other])}: use a single chain of"
                " nodes"
            )

    def _circle(self, names: list[str]) -> Exception:
        shown = " -> ".join([*names, names[0]])
        return self.nodes[names[0]].error(
            f"{shown} is a circle, but no recurrence of a layer: use edges from a neuron"
            f" ({', '.join(NEURONS)}) to itself, through nodes of weights ({', '.join(LINEAR)})"
        )


def in_order(graph: Node) -> list[Step]:
    """Return the nodes of a graph in the order of its data, from its Input to its Output; or raise
    `UserError`.
    """
    flat = _Flat()
    first, last = flat.add(graph)
    flat.check_ends(first, last)
    flat.join_doors(first, last)
    steps: list[Step] = []
    came, name = None, first
    while True:
        step, onward = flat.step(name, came)
        steps.append(step)
        if name == last and not onward:
            break
        if len(onward) != 1:
            raise step.node.error(
                f"edges lead from it to {' and '.join(onward)}: use a single chain of nodes"
                if onward
                else "no edge leads on from it: connect it with the Output"
            )
        came, name = name, onward[0]
    seen = {node.name for step in steps for node in (step.node, *(step.back or ()))}
    for name, node in flat.nodes.items():
        if name not in seen:
            raise node.error(f"no way from {first} leads to it: connect it, or leave it out")
    return steps
