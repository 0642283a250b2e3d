"""What a proof is written with: a component among free inputs, with what is assumed of these, what
is claimed of it, and what must be reachable.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import CellType, FunctionType
from typing import Any

from amaranth.back import rtlil  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.hdl import Assert, Assume, Const, Fragment, Module, Mux, Signal, Value

from rtl.claims import PRODUCT

INVARIANTS, PROPERTIES, COVERS = "with invariants", "properties", "covers"


class Harness:
    """A component among free inputs.

    Parameters
    ----------
    claims
        What the harness claims: its properties and the invariants that help an induction along
        (`INVARIANTS`), its properties alone (`PROPERTIES`), that no cover is reached (`COVERS`), or
        one property, by its name.

    Attributes
    ----------
    m
        The module that the harness's own registers are in.
    properties, covers
        The names of what is claimed, and of what must be reachable, in their order.
    """

    def __init__(self, claims: str = INVARIANTS) -> None:
        self._claims = claims
        self.m: Any = Module()
        self.m._MustUse__used = True  # some are only asked for their properties
        self.properties: list[str] = []
        self.covers: list[str] = []
        self._inputs: list[Signal] = []
        self._named: dict[str, int] = {}

    def free(self, shape: Any = 1, name: str = "free") -> Any:
        """Return a signal of which nothing is known."""
        made = Signal(shape, name=self._once(name))
        signal = Value.cast(made)
        assert isinstance(signal, Signal)
        self._inputs.append(signal)
        return made

    def constant(self, shape: Any, name: str) -> Any:
        """Return a signal of which nothing is known but that it never changes."""
        signal = self.free(shape, name)
        self.assume((signal == self.past(signal)) | ~self.past(Const(1)))
        return signal

    def past(self, value: Any, init: int = 0) -> Signal:
        """Return what a value was in the cycle before."""
        value = Value.cast(value)
        before = Signal(value.shape(), name=self._once("past"), init=init)
        self.m.d.sync += before.eq(value)
        return before

    def count(self, width: int, more: Any, name: str) -> Signal:
        """Return how much `more` has been in all cycles before, modulo 2 ** width."""
        counter = Signal(width, name=self._once(name))
        self.m.d.sync += counter.eq(counter + more)
        return counter

    def add(self, component: Any, name: str = "dut") -> Opened:
        """Add a component, elaborated as in the product."""
        opened = Opened(component)
        self.m.submodules[name] = opened.fragment
        return opened

    def offer(self, stream_in: Any, name: str = "i") -> None:
        """Let a free producer feed a stream: what it offers stays until it is taken."""
        valid, payload = self.free(1, f"{name}_valid"), self.free(stream_in.payload.shape(), name)
        self.m.d.comb += [stream_in.valid.eq(valid), stream_in.payload.eq(payload)]
        self.assume(self.stays(valid, stream_in.ready, payload))

    def accept(self, stream_out: Any, name: str = "o") -> None:
        """Let a free consumer take from a stream."""
        self.m.d.comb += stream_out.ready.eq(self.free(1, f"{name}_ready"))

    def stays(self, valid: Any, ready: Any, *payload: Any) -> Value:
        """Return whether what was offered and not taken in the cycle before is still offered."""
        same = [Value.cast(part) == self.past(part) for part in payload]
        waited = self.past(Value.cast(valid) & ~ready)
        return ~waited | (Value.cast(valid) & _all(same))

    def stable(self, stream_out: Any, name: str) -> None:
        """Claim that what a stream offers stays until it is taken; reach that it waits."""
        kept = self.stays(stream_out.valid, stream_out.ready, stream_out.payload)
        self.prove(name, kept)
        self.cover(
            f"{name}: waits and goes",
            self.past(stream_out.valid & ~stream_out.ready) & stream_out.valid & stream_out.ready,
        )

    def assume(self, value: Any) -> None:
        self.m.d.comb += Assume(value, self._once("assumption"))

    def prove(self, name: str, value: Any) -> None:
        """Claim a property. Several claims of one name are one property."""
        if name not in self.properties:
            self.properties.append(name)
        if self._claims in (INVARIANTS, PROPERTIES, name):
            self.m.d.comb += Assert(value, self._once(_identifier(name)), src_loc_at=1)

    def invariant(self, value: Any) -> None:
        """Claim what is only needed to prove the properties by induction."""
        if self._claims == INVARIANTS:
            self.m.d.comb += Assert(value, self._once("invariant"), src_loc_at=1)

    def cover(self, name: str, value: Any) -> None:
        """Say what must be reachable: what is claimed if `COVERS` is that it is not."""
        self.covers.append(name)
        if self._claims == COVERS:
            self.m.d.comb += Assert(~Value.cast(value).bool(), _identifier(name), src_loc_at=1)

    def cells(self, names: Sequence[str]) -> list[str]:
        """Return what the cells of properties or covers are called."""
        return [_identifier(name) for name in names]

    def rtlil(self) -> str:
        """Return the harness as RTLIL, with properties and covers as cells of these names."""
        text = rtlil.convert(Fragment.get(self.m, None), name="top", ports=self._inputs)
        cell = r'cell \$check \$\d+\n((?:    parameter .*\n)*?    parameter \\FORMAT "(\w+)")'
        return re.sub(cell, r"cell $check \\\2\n\1", text)

    def _once(self, name: str) -> str:
        number = self._named.get(name, 0)
        self._named[name] = number + 1
        return f"{name}__{number}" if number else name


class Opened:
    """An elaborated component, whose inner signals and memories a harness may look at.

    Attributes
    ----------
    component
        The component.
    fragment
        What it elaborates to.
    """

    def __init__(self, component: Any) -> None:
        self.component = component
        self.fragment: Any = Fragment.get(component, PRODUCT)  # pyright: ignore

    def signal(self, path: str) -> Any:
        """Return the signal at a path, as `queue.items.level`: submodules, then its name."""
        *folders, name = path.split(".")
        found = _signals(self._inner(folders))
        assert len(found.get(name, ())) == 1, f"{path}: there are {sorted(found)}"
        return found[name][0]

    def state(self, name: str, fsm: str = "fsm_state") -> Value:
        """Return whether a state machine is in the state of this name."""
        register = self.signal(fsm)
        number = 0
        while register.decoder(number) != f"{name}/{number}":
            number += 1
        return register == number

    def word(self, path: str, address: Any) -> Value:
        """Return what the memory at a path holds at an address in this cycle."""
        instance = self._inner(path.split("."))
        while instance.subfragments:
            (instance, _, _), *others = instance.subfragments
            assert not others, path
        depth = instance._data.depth
        at = Signal(range(depth), name="at")
        data = Signal(Value.cast(Signal(instance._data.shape)).shape().width, name="word")
        instance.read_port(domain="comb", addr=at, data=data, en=Const(1, 1), transparent_for=())
        self.fragment.add_statements("comb", at.eq(address))
        return data

    def _inner(self, folders: Sequence[str]) -> Any:
        found = self.fragment
        for folder in folders:
            inner = [one for one, name, _ in found.subfragments if name == folder]
            names = [name for _, name, _ in found.subfragments]
            assert len(inner) == 1, f"{folder}: there are {names}"
            found = inner[0]
        return found


@contextmanager
def mutant(component: type, changes: Sequence[tuple[str, str]]) -> Iterator[None]:
    """Let a component be made from source in which each `old` text, which stands there once, is
    `new`; afterwards it is again what it was.
    """
    module = sys.modules[component.__module__]
    source = inspect.getsource(module)
    for old, new in changes:
        assert source.count(old) == 1, f"{module.__name__} has {source.count(old)} times: {old}"
        source = source.replace(old, new)
    space = {"__name__": module.__name__}
    exec(compile(source, str(module.__file__), "exec"), space)
    methods = {
        name: value
        for name, value in vars(space[component.__name__]).items()
        if isinstance(value, FunctionType)
    }
    kept = {name: vars(component)[name] for name in methods}
    try:
        for name, method in methods.items():
            closure = method.__closure__ and (CellType(component),)  # of `super()`
            code = method.__code__
            setattr(component, name, FunctionType(code, space, name, method.__defaults__, closure))
            getattr(component, name).__kwdefaults__ = method.__kwdefaults__
        yield
    finally:
        for name, method in kept.items():
            setattr(component, name, method)


def within(value: Any, base: Any, length: Any, width: int) -> Value:
    """Return whether a counter's value is among the `length` values from `base` on, modulo
    2 ** width.
    """
    return (Value.cast(value) - base)[:width] < length


def ones(width: int, below: Any) -> Value:
    """Return a mask of the bits below a place."""
    return ((Const(1, width + 1) << below) - 1)[:width]


def implies(condition: Any, value: Any) -> Value:
    return Mux(condition, Value.cast(value).bool(), 1)


def _all(values: Sequence[Value]) -> Value:
    found: Value = Const(1)
    for value in values:
        found = found & value
    return found


def _signals(fragment: Any) -> dict[str, list[Signal]]:
    """Return the signals that a fragment itself drives, by their names."""
    found: dict[str, list[Signal]] = {}
    for statements in fragment.statements.values():
        for signal in statements._lhs_signals():
            found.setdefault(signal.name, []).append(signal)
    return {name: list({id(one): one for one in some}.values()) for name, some in found.items()}


def _identifier(name: str) -> str:
    return re.sub(r"\W+", "_", name)
