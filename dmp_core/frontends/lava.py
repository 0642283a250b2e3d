"""Networks of Lava: the HDF5 files that its `slayer` exports and its `netx` reads, as integers.

They hold integers already, and the core computes with them as Lava's fixed-point neurons do, bit by
bit. Of every CUBA neuron, at every timestep:

    u <- trunc(u (2^12 - iDecay) / 2^12) + 2^6 sum_j weight_j s_j
    v <- trunc(v (2^12 - vDecay) / 2^12) + u + 2^6 bias
    spike where v > 2^6 vThMant, after which v is 0

Sources: lava-dl `lib/dl/netx/hdf5.py`, `slayer/block/base.py`; Lava `proc/lif/models.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dmp_core.frontends.imported import Imported, Note
from golden.errors import UserError
from golden.formats import Fixed, width_of
from golden.hdf5 import Group, read_hdf5
from golden.inputs import BROKEN, reason
from golden.integer import LayerIntegers, NetworkIntegers, without_readout
from golden.param_checks import check_choice, check_path
from golden.params import (
    MAX_DELAY,
    LayerFormats,
    LayerParams,
    NetworkParams,
    NeuronValue,
    check_name,
)
from golden.readout_params import ReadoutParams

DECAY = Fixed(13, 12, signed=False)  # 1 needs the 13th bit
ONE = 1 << DECAY.frac
STATE = Fixed(24, 6)  # of currents and voltages, in units of vThMant
MOST = 1 << (STATE.width - STATE.frac - 1)  # of thresholds and biases, in units of vThMant
NETX_MAX_DELAY = 62


@dataclass(frozen=True)
class _Block:
    """A dense block of the file: its weights (N, M), decays, threshold, bias (N,), and by how many
    timesteps its inputs (M,) and its spikes (N,) are late.
    """

    name: str
    weights: np.ndarray
    current_decay: np.ndarray
    voltage_decay: np.ndarray
    threshold: np.ndarray
    bias: np.ndarray
    inputs_late: np.ndarray
    spikes_late: np.ndarray
    notes: tuple[Note, ...]


def from_lava(
    path: Path | str,
    *,
    name: str = "lava",
    readout: Literal["spikes", "spike_count"] = "spikes",
) -> Imported[NetworkIntegers]:
    """Return the network of a `netx` file of dense CUBA blocks.

    Parameters
    ----------
    name
        Of the network.
    readout
        What leaves the core: the last block's `spikes`, or the `spike_count` of each of its neurons
        and the class that has most.

    Raises
    ------
    UserError
        No such file, or a block that has no place on the core: where in the file, and what would be
        right.
    """
    check_choice("readout", readout, ("spikes", "spike_count"))
    check_name(name)
    if not check_path("path", path).is_file():
        raise UserError(f"no file {path}: use the path of one that netx reads")
    blocks, notes = _read(Path(path))
    made = []
    late = np.zeros(blocks[0].weights.shape[1], np.int64)
    for place, block in enumerate(blocks):
        if block.weights.shape[1] != len(late):
            raise UserError(
                f"{block.name}/weight is for {block.weights.shape[1]} inputs, but"
                f" {blocks[place - 1].name} has {len(late)} neurons: use as many"
            )
        made.append(_layer(block, late + block.inputs_late))
        late = block.spikes_late
        notes += [*block.notes, *_notes(block, *made[-1])]
    notes += _last_delays(blocks[-1])
    parameters, layers = zip(*made, strict=True)
    network = without_readout(NetworkParams(name, parameters, None), layers)
    if readout == "spike_count":
        n = parameters[-1].n_neurons
        output = ReadoutParams(n, n, w_o=Fixed(2, 0))
        params = replace(network.params, output=output)
        network = NetworkIntegers(params, layers, np.eye(n, dtype=np.int64), np.zeros(n, np.int64))
        notes.append(Note("readout", "mapped", "a sum of each last neuron's spikes"))
    return Imported(network, f"Lava network {path}", tuple(notes))


def _read(path: Path) -> tuple[list[_Block], list[Note]]:
    """Return the dense blocks, and notes of what else is in the file."""
    try:
        groups = read_hdf5(path).get("layer")
    except BROKEN as error:
        raise UserError(
            f"{path} is no HDF5 file ({reason(error)}): use one that netx reads"
        ) from None
    if not isinstance(groups, Group) or not groups:
        raise UserError(f"{path} has no group layer with blocks: use one that netx reads")
    blocks: list[_Block] = []
    what = "spikes reach the next block in the same timestep; Lava sends them a timestep later"
    notes = [Note("timesteps", "mapped", what)]
    for index in range(len(groups)):
        if not isinstance(group := groups.get(str(index)), Group):
            raise UserError(
                f"layer/{index} is missing: the blocks are to be 0 to {len(groups) - 1}"
            )
        kind = _text(group, "type")
        if kind == "dense":
            blocks.append(_dense(group))
        elif kind == "flatten" or (kind == "input" and "neuron" not in group):
            notes.append(Note(f"layer/{index}", "left out", f"{kind}: the values keep their order"))
        elif kind == "input":
            raise UserError(
                f"layer/{index}: neurons of an input block, which turn numbers into spikes, have no"
                " place on the core: leave the block out, and give the core its spikes"
            )
        else:
            raise UserError(f"layer/{index}: a block of type {kind} has no place: use dense ones")
    if not blocks:
        raise UserError("the file has no dense block: use at least one")
    return blocks, notes


def _text(group: Group, name: str) -> str:
    value = np.ravel(_dataset(group, name))[0]
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _dataset(group: Group, name: str) -> Any:
    if (found := group.get(name)) is None or isinstance(found, Group) or not np.size(found):
        raise UserError(f"{group.path}/{name} is missing: use a file that netx reads")
    return found


def _numbers(group: Group, name: str) -> np.ndarray:
    """Return finite numbers, as they are."""
    where, values = f"{group.path}/{name}", _dataset(group, name)
    try:
        found = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{where} holds no numbers: use a file that netx reads") from None
    if not np.isfinite(found).all():
        raise UserError(f"{where} has a value of {found[~np.isfinite(found)][0]}: train again")
    return found


def _neuron_values(group: Group, name: str, n: int, most: int) -> np.ndarray:
    """Return whole numbers of 0 to `most`, one for each neuron (N,)."""
    where, found = f"{group.path}/{name}", _numbers(group, name)
    if found.size not in (1, n):
        raise UserError(f"{where} has {found.size} values: use one, or {n}")
    wrong = (found < 0) | (found > most) | (found != np.floor(found))
    if wrong.any():
        raise UserError(f"{where} is {found[wrong].flat[0]:g}: use whole numbers of 0 to {most}")
    return np.broadcast_to(found.ravel(), n).astype(np.int64)


def _dense(group: Group) -> _Block:
    """Return a dense block, or raise `UserError` where it has what the core has not."""
    name = group.path
    if "weight_rec" in group or isinstance(group.get("weight"), Group):
        raise UserError(f"{name}: recurrent or complex weights have no place: use dense ones")
    neuron = group.get("neuron")
    if not isinstance(neuron, Group):
        raise UserError(f"{name}/neuron is missing: weights without neurons have no place")
    kind = _text(neuron, "type")
    if kind not in ("CUBA", "LOIHI"):
        raise UserError(f"{name}/neuron/type is {kind}: use CUBA")
    if "gradedSpike" in neuron and _numbers(neuron, "gradedSpike").any():
        raise UserError(f"{name}/neuron/gradedSpike is set, but the core's spikes are events of 1")
    if "refDelay" in neuron and (_numbers(neuron, "refDelay") != 1).any():
        raise UserError(f"{name}/neuron/refDelay is not 1: the core has no refractory time, use 1")
    weights, notes = _weights(group, name)
    n, m = weights.shape
    bias = np.zeros(n, np.int64)
    if "bias" in group:
        found = np.trunc(_numbers(group, "bias"))
        if found.size not in (1, n):
            raise UserError(f"{name}/bias has {found.size} values: use {n}")
        if (wrong := np.abs(found) >= MOST).any():
            raise UserError(
                f"{name}/bias is {found[wrong].flat[0]:g}, which no voltage of 24 bits holds: use"
                f" less than {MOST}"
            )
        bias = np.broadcast_to(found.astype(np.int64).ravel(), n)
    inputs_late, spikes_late, of_delays = _delays(group, name, n, m)
    threshold = _neuron_values(neuron, "vThMant", n, (1 << 18) - 1)
    if (threshold >= MOST).any():
        raise UserError(
            f"{name}/neuron/vThMant is {threshold.max()}, which no voltage reaches (a block whose"
            f" voltage is read): the core sends spikes, use less than {MOST}"
        )
    return _Block(
        name,
        weights,
        _neuron_values(neuron, "iDecay", n, ONE),
        _neuron_values(neuron, "vDecay", n, ONE),
        threshold,
        bias,
        inputs_late,
        spikes_late,
        (*notes, *of_delays),
    )


def _weights(group: Group, name: str) -> tuple[np.ndarray, list[Note]]:
    """Return weights (N, M) that Loihi's synapses hold as they are: of one sign up to 255; of both,
    8 bits, or 9 without the lowest.
    """
    found = _numbers(group, "weight")
    if found.ndim == 1:  # netx takes it as rows of the block's neurons
        n = int(np.prod(_numbers(group, "shape")))
        found = found.reshape(n, -1) if n and found.size % n == 0 else found
    found = found.reshape(found.shape[:2]) if found.ndim > 2 and found.size else found
    if found.ndim != 2 or not found.size:
        raise UserError(f"{name}/weight has the shape {found.shape}: use (neurons, inputs)")
    whole = np.trunc(found)
    low, high = float(whole.min()), float(whole.max())
    both = low < 0 < high
    if low < (-256 if both else -255) or high > (254 if both else 255):
        right = "-256 to 254 (both signs)" if both else "0 to 255" if high > 0 else "-255 to 0"
        raise UserError(f"{name}/weight reaches from {low:g} to {high:g}: use {right}")
    weights = whole.astype(np.int64)
    if both and (low < -128 or high > 127) and (weights % 2).any():
        raise UserError(
            f"{name}/weight has odd weights and reaches from {low:g} to {high:g}: of both signs,"
            " Loihi has even ones beyond -128 to 127"
        )
    cut = int((weights != found).sum())
    what = f"{cut} weights lose their fractions, as in Lava"
    return weights, [Note(f"{name}/weight", "mapped", what)] if cut else []


def _delays(group: Group, name: str, n: int, m: int) -> tuple[np.ndarray, np.ndarray, list[Note]]:
    """Return by how many timesteps inputs (M,) and spikes (N,) are late: netx reads as many delays
    as there are neurons as those of their spikes.
    """
    none = np.zeros(m, np.int64), np.zeros(n, np.int64)
    if "delay" not in group:
        return *none, []
    found = np.floor(_numbers(group, "delay"))
    if (found < 0).any():
        raise UserError(f"{name}/delay is {found.min():g}: use 0 or more timesteps")
    notes = []
    if (found > NETX_MAX_DELAY).any():
        what = f"{int((found > NETX_MAX_DELAY).sum())} are {NETX_MAX_DELAY} timesteps, as in netx"
        notes.append(Note(f"{name}/delay", "mapped", what))
    delays = np.minimum(found, NETX_MAX_DELAY).astype(np.int64)
    if delays.ndim == 0:
        return np.full(m, delays), none[1], notes
    if delays.shape == (n,):
        return none[0], delays, notes
    if delays.shape == (m,):
        return delays, none[1], notes
    raise UserError(
        f"{name}/delay has the shape {delays.shape}: use one for each of {n} neurons or {m} inputs"
        " (the core has no delays of single synapses)"
    )


def _last_delays(block: _Block) -> list[Note]:
    """Return what is to be said of the delays of the last block's spikes."""
    if not block.spikes_late.any():
        return []
    if (block.spikes_late != block.spikes_late[0]).any():
        raise UserError(
            f"{block.name}/delay: the last block's spikes are late by different times, and none"
            " comes after it on the core: use the same for all, or none"
        )
    what = f"all spikes leave {block.spikes_late[0]} timesteps earlier than in Lava"
    return [Note(f"{block.name}/delay", "approximated", what)]


def _layer(block: _Block, delays: np.ndarray) -> tuple[LayerParams, LayerIntegers]:
    """Return the core's layer of a block whose inputs (M,) are late by these timesteps."""
    n, m = block.weights.shape
    if delays.max() > MAX_DELAY:
        raise UserError(
            f"{block.name}: delays of {delays.max()} timesteps: use at most {MAX_DELAY}"
        )
    exponent = _common_exponent(block.weights)
    mantissa = block.weights >> exponent
    width = max(2, width_of(max(int(mantissa.max()), -int(mantissa.min()) - 1)))
    bias = block.bias * 2**STATE.frac
    values = {
        "leak": ONE - block.voltage_decay,
        "alpha": ONE - block.current_decay,
        "threshold": block.threshold * 2**STATE.frac + 1,  # above it is one more, or further
    }
    synapse = bool(values["alpha"].any())  # a current that is gone at once is none
    if not synapse:
        del values["alpha"]
    order: tuple[NeuronValue, ...] = ("leak", "alpha", "threshold")
    per_neuron: tuple[NeuronValue, ...] = tuple(
        key for key in order if key in values and (values[key] != values[key][0]).any()
    )
    formats = LayerFormats(
        w_f=Fixed(width, -exponent), u=STATE, y=STATE, leak=DECAY, alpha=DECAY,
        bias_width=max(LayerFormats().bias_width, width_of(int(np.abs(bias).max()))),
    )  # fmt: skip
    late = bool(delays.any())
    params = LayerParams(
        m, n, 0, reset="to_value", formats=formats, synapse=synapse, per_neuron=per_neuron,
        decay_rounding="toward_zero", max_delay=int(delays.max()),
    )  # fmt: skip
    none = np.zeros(0, np.int64)
    numbers = {key: of if key in per_neuron else int(of[0]) for key, of in values.items()}
    return params, LayerIntegers(
        w_f=mantissa,
        w_x=np.zeros(m, np.int64),
        b_x=0,
        a=np.zeros((0, 0), np.int64),
        b=none,
        p=np.zeros((n, 0), np.int64),
        v=np.zeros(n, np.int64),
        c=bias,
        delays=delays if late else none,
        c_y=np.zeros(n * synapse, np.int64),
        **numbers,
    )


def _common_exponent(weights: np.ndarray) -> int:
    """Return how many of the lowest bits are 0 in all weights."""
    union = int(np.bitwise_or.reduce(weights, axis=None))
    return (union & -union).bit_length() - 1 if union else 0


def _notes(block: _Block, params: LayerParams, layer: LayerIntegers) -> list[Note]:
    """Return what became of a block."""
    n, m = block.weights.shape
    w_f = params.formats.w_f
    what = f"{n} CUBA neurons of {m} inputs, weights of {w_f.width} bits"
    what += f" times {2**-w_f.frac}" if w_f.frac else ""
    notes = [Note(block.name, "mapped", what)]
    if not params.synapse:
        notes.append(Note(f"{block.name}/neuron/iDecay", "folded", "currents are gone at once"))
    if block.spikes_late.any():
        what = "of its spikes: into the delays of the next block's inputs"
        notes.append(Note(f"{block.name}/delay", "folded", what))
    if _reach(block) > STATE.max:
        what = (
            "the same while none leaves 24 bits: there the core saturates, and counts it; Lava's"
            " currents wrap around"
        )
        notes.append(Note(f"{block.name}: currents and voltages", "approximated", what))
    return notes


def _reach(block: _Block) -> float:
    """Return a bound of currents and voltages."""
    sums = np.maximum(
        np.maximum(block.weights, 0).sum(1), -np.minimum(block.weights, 0).sum(1)
    ) * float(2**STATE.frac)
    with np.errstate(divide="ignore", invalid="ignore"):
        currents = np.where(sums > 0, sums * 2**DECAY.frac / block.current_decay, 0)
        driving = currents + np.abs(block.bias) * 2**STATE.frac
        voltages = np.where(driving > 0, driving * 2**DECAY.frac / block.voltage_decay, 0)
    return float(max(currents.max(), voltages.max()))
