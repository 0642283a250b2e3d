"""From a component to RTLIL in which every component is a module of its own.

Amaranth derives the ports of an inner module from the nets that cross its border. Here each
component is converted alone, so that its ports are its signature, and its parent instantiates it.
Components that become the same module share it.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import ClockSignal, Const, Fragment, Instance, ResetSignal, Signal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

from rtl.claims import PRODUCT
from rtl.component import Component
from rtl.verilog.aliases import with_driver_names
from rtl.verilog.names import with_plain_names
from rtl.verilog.quick import quick_amaranth

ROOT = Path(__file__).parents[2]
CLOCK, RESET = "clk", "rst"


@dataclass
class ModuleText:
    """A module of the design.

    Attributes
    ----------
    component
        One of those that it is.
    text
        Its RTLIL; modules are called by their number, `\\module:3`.
    clocked
        Whether it has a clock and a reset.
    paths
        The instances that it is, from the top: `layer0.events`.
    """

    component: wiring.Component
    text: str
    clocked: bool
    children: dict[str, int]
    paths: list[str] = field(default_factory=list)


def ports_of(component: wiring.Component) -> dict[str, tuple[Value, PortDirection]]:
    """Return the ports of a component's module but for its clock and reset, as its signature has
    them: `i__payload` is the member `payload` of the member `i`.
    """
    found = {}
    for path, member, value in component.signature.flatten(component):
        cast = Value.cast(value)
        if isinstance(cast, Const):
            continue  # as `ready` of a stream that is always ready
        flow = PortDirection.Input if member.flow == wiring.In else PortDirection.Output
        found["__".join(map(str, path))] = cast, flow
    return found


class Hierarchy:
    """The modules of a component and of all components in it.

    Parameters
    ----------
    top, name
        The component, and the name of its module. Other modules are called after their place in the
        design, `dmp_core__layer0__events`, or, where several places share one, after their class:
        `dmp_core__group_schedule`.
    sources
        Keep the lines of Python that a part of a module comes from, as attributes `src`.
    claims
        Keep what components claim of themselves (`rtl.claims`).
    """

    def __init__(
        self, top: Component, name: str, *, sources: bool = False, claims: bool = False
    ) -> None:
        self.sources, self._platform = sources, None if claims else PRODUCT
        self.modules: list[ModuleText] = []
        self._numbers: dict[str, int] = {}
        with quick_amaranth():
            number = self._add(top, self._elaborated(top))
        self._place(number, "")
        self.names = self._choose_names(name)

    def text(self) -> str:
        """Return the RTLIL of all modules."""
        modules = "\n".join(module.text for module in self.modules).replace(f"{ROOT}/", "")
        return re.sub(r"\\module:(\d+)", lambda found: f"\\{self.names[int(found[1])]}", modules)

    def comments(self) -> dict[str, str]:
        """Return by a module's name what a reader of the Verilog is told above it: the component,
        its file, the first paragraph of its docstring, its latency.
        """
        return {self.names[number]: _comment(module) for number, module in enumerate(self.modules)}

    def _elaborated(self, component: wiring.Component) -> Any:
        return Fragment.get(component, self._platform)  # pyright: ignore

    def _add(self, component: wiring.Component, fragment: Any) -> int:
        """Convert a component, and before it all that are in it; return its module's number."""
        children: dict[str, int] = {}
        self._separate(fragment, "", children)
        ports = ports_of(component)
        text, _ = rtlil.convert_fragment(fragment, ports, "module", emit_src=self.sources)
        outputs, inputs = (
            {f"\\{value.name}" for instance in _instances(fragment)
             for value, flow in instance.ports.values() if flow == of and isinstance(value, Signal)}
            for of in ("o", "i")
        )  # fmt: skip
        text = with_plain_names(with_driver_names(text, outputs, inputs), (CLOCK, RESET, *ports))
        number = self._numbers.setdefault(text, len(self.modules))
        if number == len(self.modules):
            clocked = bool(re.search(rf"^  wire width 1 input \d+ \\{CLOCK}$", text, re.M))
            named = text.replace("module \\module\n", f"module \\module:{number}\n")
            self.modules.append(ModuleText(component, named, clocked, children))
        return number

    def _separate(self, fragment: Any, prefix: str, children: dict[str, int]) -> None:
        """Replace each component in a fragment by an instance of its module; what else is a
        submodule becomes a part of the fragment.
        """
        found: list[Any] = fragment.subfragments
        fragment.subfragments = []
        for index, (inner, name, location) in enumerate(found):
            name = prefix + (name or f"part{index}")
            component = _component_of(inner)
            if component is not None:
                domain = inner.domain_renames.get("sync", "sync")
                alone = inner if domain == "sync" else self._elaborated(component)
                number = children[name] = self._add(component, alone)
                instance = self._instance(number, component, name, domain)
                fragment.add_subfragment(instance, name, src_loc=location)
            elif type(inner) is not Fragment:
                fragment.add_subfragment(inner, name, src_loc=location)
            else:
                self._separate(inner, f"{name}_", children)
                _merge(fragment, inner)

    def _instance(
        self, number: int, component: wiring.Component, place: str, domain: str
    ) -> Instance:
        """Return an instance of a module, connected to the signals of its component, which in its
        parent are called after both: `events__front__release`.
        """
        ports: list[tuple[str, str, Any]] = []
        for name, (value, flow) in ports_of(component).items():
            assert isinstance(value, Signal)
            value.name = f"{place}__{name}"
            ports.append(("i" if flow == PortDirection.Input else "o", name, value))
        if self.modules[number].clocked:
            ports += [("i", CLOCK, ClockSignal(domain)), ("i", RESET, ResetSignal(domain))]
        return Instance(f"module:{number}", *ports)

    def _place(self, number: int, path: str) -> None:
        """Note where a module is, and all that are in it."""
        module = self.modules[number]
        module.paths.append(path)
        for name, child in module.children.items():
            self._place(child, f"{path}.{name}" if path else name)

    def _choose_names(self, top: str) -> list[str]:
        names: list[str] = []
        for module in self.modules:
            if len(module.paths) == 1:
                place = module.paths[0].replace(".", "__")
            else:
                place = re.sub(r"(?<!^)(?=[A-Z])", "_", type(module.component).__name__).lower()
            name = f"{top}__{place}" if place else top
            others = [other for other in names if re.fullmatch(rf"{name}(_\d+)?", other)]
            names.append(f"{name}_{len(others) + 1}" if others else name)
        return names


def _merge(fragment: Any, inner: Any) -> None:
    """Make what is in a fragment a part of another one."""
    fragment.add_domains(inner.domains.values())
    for domain, statements in inner.statements.items():
        fragment.add_statements(domain, *statements)
    for part, name, location in inner.subfragments:
        fragment.add_subfragment(part, name, src_loc=location)


def _instances(fragment: Any) -> Iterator[Any]:
    return (inner for inner, _, _ in fragment.subfragments if isinstance(inner, Instance))


def _component_of(fragment: Any) -> wiring.Component | None:
    """Return the component that a fragment is, if it has ports."""
    for origin in fragment.origins or ():
        if isinstance(origin, wiring.Component) and not isinstance(origin, Memory):
            return origin
    return None


def _comment(module: ModuleText) -> str:
    component = module.component
    kind = type(component)
    file = Path(inspect.getfile(kind))
    place = file.relative_to(ROOT) if file.is_relative_to(ROOT) else file.name
    first = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    lines = [f"// {kind.__name__}, {place}", *(f"// {line}" for line in textwrap.wrap(first, 97))]
    if isinstance(component, Component):
        plural = "" if component.latency == 1 else "s"
        lines.append(f"// Latency: {component.latency} cycle{plural}.")
    if len(module.paths) > 1:
        lines.append(f"// Instances: {', '.join(module.paths)}.")
    return "\n".join(lines) + "\n"
