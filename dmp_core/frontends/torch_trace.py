"""What a module of Torch calls in one timestep: the chain of its modules, found by running it.

The module is run once, with hooks, and what every module receives must be what the one before it
returned: the same memory, unchanged. So a forward in plain Python is followed, with its loops over
time, its reshapes and its states, and whatever it computes between two modules is found out, where
a symbolic trace (`torch.fx`) fails on the loops and the states of snnTorch's modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from snntorch import SpikingNeuron
from torch import nn
from torch.func import functional_call

from golden.errors import UserError

STATES = ("spk", "syn", "mem")


@dataclass(frozen=True)
class Call:
    """A module, what it received (B, ...), and what it returned: its output, and the states after
    it; `states` are those that the caller handed it. `versions` count the changes in place of the
    memories of what it received and of its output, at that time.
    """

    name: str
    module: nn.Module
    given: torch.Tensor
    returned: tuple[torch.Tensor, ...]
    states: tuple[torch.Tensor, ...] = ()
    versions: tuple[int, int] = (0, 0)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what it receives, without the batch."""
        return tuple(self.given.shape[1:])


@dataclass(frozen=True)
class Trace:
    """The chain of a timestep, and which of the last neurons' `spikes` and `membrane` the module
    returns; empty where what it returns is neither.
    """

    calls: tuple[Call, ...]
    returns: frozenset[str] = field(default_factory=frozenset)


def trace(module: nn.Module, inputs: tuple[torch.Tensor, ...], also: str = "") -> Trace:
    """Run a module once, in evaluation mode, from states of 0, with copies of its numbers in
    float32 on the processor; it is left as it was. `also` ends the error of a forward that fails:
    what may be open besides its inputs.

    Raises
    ------
    UserError
        Its forward fails, or is no chain of modules.
    """
    calls: list[Call] = []
    inputs = tuple(_float32(one) for one in inputs)
    with _at_rest(module), _recording(module, calls), torch.no_grad():
        try:
            named = (*module.named_parameters(), *module.named_buffers())
            result = functional_call(module, {key: _float32(one) for key, one in named}, inputs)
        except UserError:
            raise
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            shapes = ", ".join(str(tuple(given.shape)) for given in inputs)
            right = "set inputs to what it is called with"
            if "tuple" in reason:
                right = "neurons in an nn.Sequential need init_hidden=True"
            raise UserError(
                f"the module's forward fails on inputs of {shapes} ({reason}): {right}{also}"
            ) from None
    if not calls:
        raise UserError("the module's forward calls no module: use layers of torch.nn and snntorch")
    periods = _periods(calls, inputs[0])
    _check_inputs(periods, inputs[0])
    _check_states(periods)
    last = periods[-1][-1]
    found = list(_tensors(result))
    names = {"spikes": last.returned[0]}
    if len(last.returned) > 1:
        names["membrane"] = last.returned[-1]
    kept = {name for name, tensor in names.items() if any(_same(tensor, one) for one in found)}
    return Trace(tuple(periods[-1]), frozenset(kept))


def _float32(tensor: torch.Tensor) -> torch.Tensor:
    found = tensor.detach().cpu()
    return found.float() if found.is_floating_point() else found


def leaves(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Return the modules that compute: neurons, with all that is in them, and what has no modules
    in it.
    """
    children = list(module.named_children())
    if isinstance(module, SpikingNeuron) or not children:
        yield name or type(module).__name__, module
        return
    for child, of in children:
        yield from leaves(of, f"{name}.{child}" if name else child)


@contextmanager
def _at_rest(module: nn.Module) -> Iterator[None]:
    """Set all modules to evaluation and their states to none, and back."""
    training = {part: part.training for part in module.modules()}
    neurons = [part for part in module.modules() if isinstance(part, SpikingNeuron)]
    states = [
        (neuron, name, getattr(neuron, name))
        for neuron in neurons
        for name in STATES
        if isinstance(getattr(neuron, name, None), torch.Tensor)
    ]
    module.eval()
    for neuron, name, value in states:
        setattr(neuron, name, torch.zeros(0, dtype=value.dtype, device=value.device))
    try:
        yield
    finally:
        for neuron, name, value in states:
            setattr(neuron, name, value)
        for part, mode in training.items():
            part.training = mode


@contextmanager
def _recording(module: nn.Module, calls: list[Call]) -> Iterator[None]:
    names = {leaf: name for name, leaf in leaves(module)}  # one that has two names, once
    handles = [
        leaf.register_forward_hook(_recorder(name, calls), with_kwargs=True)
        for leaf, name in names.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _recorder(name: str, calls: list[Call]) -> Callable[..., None]:
    def record(module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        named = [kwargs[key] for key in ("input", "input_", *STATES) if kwargs.get(key) is not None]
        given, *states = (*(one for one in args if one is not None), *named)
        returned = tuple(_tensors(output))
        versions = given._version, returned[0]._version
        kept = tuple(state.clone() for state in states if isinstance(state, torch.Tensor))
        calls.append(Call(name, module, given, returned, kept, versions))

    return record


def _tensors(result: Any) -> Iterator[torch.Tensor]:
    """Return all tensors in what a module returns."""
    if isinstance(result, torch.Tensor):
        yield result
    elif isinstance(result, dict):
        yield from _tensors(list(result.values()))
    elif isinstance(result, list | tuple):
        for one in result:
            yield from _tensors(one)


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two tensors have the same values in the same order in the same memory."""
    in_order = one.is_contiguous() and other.is_contiguous()
    alike = in_order or (one.shape, one.stride()) == (other.shape, other.stride())
    place = one.data_ptr(), one.numel(), one.dtype
    return alike and place == (other.data_ptr(), other.numel(), other.dtype)


def _periods(calls: list[Call], given: torch.Tensor) -> list[list[Call]]:
    """Return the calls by timesteps, each of which starts with the module's input."""
    periods: list[list[Call]] = []
    for call in calls:
        before = periods[-1][-1] if periods else None
        if before is not None and _same(call.given, before.returned[0]):
            if call.versions[0] != before.versions[1]:
                raise UserError(
                    f"{call.name} receives what {before.name} returns, but changed in place"
                    " between them: use modules for all that is computed"
                )
            periods[-1].append(call)
        elif _memory(call.given) == _memory(given):
            periods.append([call])
        else:
            _refuse(call, calls)
    names = [call.name for call in periods[-1]]
    for period in periods:
        if names != [call.name for call in period]:
            raise UserError(
                f"the module calls {', '.join(call.name for call in period)} in one timestep, and"
                f" {', '.join(names)} in another: use one chain of modules"
            )
    return periods


def _refuse(call: Call, calls: list[Call]) -> None:
    """Raise what is wrong with what a module receives."""
    for source in calls[: [one is call for one in calls].index(True)]:
        if _same(source.returned[0], call.given):
            raise UserError(
                f"{call.name} receives what {source.name} returns, past other modules: branches"
                " have no place on the core, use a chain of modules"
            )
        if _memory(source.returned[0]) == _memory(call.given):
            raise UserError(
                f"{call.name} receives a part of what {source.name} returns: use a module that"
                " computes one timestep, with its values in order"
            )
    raise UserError(
        f"{call.name} receives neither the input nor what the module before it returns: use modules"
        " for all that is computed between modules"
    )


def _check_inputs(periods: list[list[Call]], given: torch.Tensor) -> None:
    """Check that the timesteps receive all of the module's input, each value in its place."""
    first = periods[0][0]
    places = [period[0].given.data_ptr() for period in periods]
    wrong = ""
    if not all(_in_order(period[0].given) for period in periods):
        wrong = "the input's values in another order"
    elif places != sorted(places):
        wrong = "the input's timesteps in another order"
    elif first.given.numel() * len(set(places)) != given.numel():
        wrong = "a part of the input"
    if wrong:
        raise UserError(
            f"{first.name} receives {wrong}: hand the input to the module as this layer takes it"
        )


def _in_order(tensor: torch.Tensor) -> bool:
    """Return whether the values of a sample lie one after another, at equal distances."""
    lengths = zip(tensor.shape[1:], tensor.stride()[1:], strict=True)
    found = [(length, stride) for length, stride in lengths if length > 1]
    inner = [stride * length for length, stride in found[1:]]
    return [stride for _, stride in found[:-1]] == inner and all(stride for _, stride in found)


def _check_states(periods: list[list[Call]]) -> None:
    """Check that states are 0 at first, and then what a neuron left."""
    left: list[tuple[torch.Tensor, ...]] | None = None
    for period in periods:
        for place, call in enumerate(period):
            right: tuple[torch.Tensor, ...] = tuple(map(torch.zeros_like, call.states))
            if left is not None and call.states:
                right = left[place][-len(call.states) :]
            for state, expected in zip(call.states, right, strict=False):
                if state.shape != expected.shape or not torch.equal(state, expected):
                    raise UserError(
                        f"{call.name} receives a state that is neither 0 at the start nor what it"
                        " left: use its own states"
                    )
        left = [tuple(one.clone() for one in call.returned) for call in period]
