"""Layers and readouts of any formats that are accepted, every integer of which is at an end of its
format, or one beside it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np

from golden.errors import UserError
from golden.formats import SPIKE, Fixed
from golden.integer import LayerIntegers, NetworkIntegers
from golden.params import NEURON_VALUES, LayerFormats, LayerParams, NetworkParams, Reset
from golden.readout_params import ReadoutParams

DECAYS = ("leak", "alpha")
RESETS: tuple[Reset, ...] = get_args(Reset)


def draw_extreme(seed: int) -> tuple[NetworkIntegers, np.ndarray]:
    """Draw a network of one layer, and payloads (B, K, M) for it."""
    rng = np.random.default_rng([seed, 17])
    while True:  # most formats ask for sums of more than 64 bits
        try:
            params = _draw_layer(rng)
            readout = _draw_readout(rng, params.n_neurons)
            break
        except UserError:
            continue
    layer = _draw_integers(rng, params)
    network = NetworkIntegers(
        NetworkParams(f"extreme{seed}", (params,), readout),
        (layer,),
        _ends(rng, readout.w_o, (readout.n_classes, readout.n_inputs)),
        _ends(rng, readout.b_o, (readout.n_classes,)),
        _decay(rng, readout.leak, ()) if readout.leaky else 0,
    )
    payloads = _ends(rng, params.formats.payload, (2, 6, params.n_inputs))
    if rng.integers(2):
        payloads[:, int(rng.integers(1, 6)) :] = 0
    return network, payloads


def _width(rng: np.random.Generator, most: int = 64) -> int:
    """Draw a width: any, or one that is usual."""
    return int(rng.integers(1, most + 1) if rng.integers(3) else rng.integers(2, 17))


def _draw_format(rng: np.random.Generator, signed: bool = True, most: int = 64) -> Fixed:
    return Fixed(_width(rng, most), int(rng.integers(-40, 41)), signed)


def _draw_decay(rng: np.random.Generator) -> Fixed:
    frac = int(rng.integers(0, 49))
    return Fixed(int(rng.integers(max(1, frac - 2), frac + 3)), frac, signed=False)


def _draw_layer(rng: np.random.Generator) -> LayerParams:
    signed = bool(rng.integers(2))
    names = ("w_f", "w_x", "p", "a", "m", "x", "u", "y")
    drawn: dict[str, Any] = {name: _draw_format(rng) for name in names}
    drawn["payload"] = _draw_format(rng, signed) if rng.integers(2) else SPIKE
    drawn |= {name: _draw_decay(rng) for name in DECAYS}
    drawn |= {f"{kind}bias_width": _width(rng) for kind in ("", "drive_", "synapse_")}
    formats = LayerFormats(**drawn)
    n_state = int(rng.integers(0, 4))
    reset = RESETS[rng.integers(len(RESETS))]
    own_reset, synapse = reset != "none" and bool(rng.integers(2)), bool(rng.integers(2))
    possible = {"leak", "threshold", *["alpha"] * synapse, *["reset"] * own_reset}
    return LayerParams(
        int(rng.integers(1, 4)),
        int(rng.integers(1, 4)),
        n_state,
        int(rng.integers(1, 3)),
        reset,
        _nearer(rng, formats),
        recurrent=not n_state and bool(rng.integers(2)),
        own_reset=own_reset,
        synapse=synapse,
        per_neuron=tuple(n for n in NEURON_VALUES if n in possible and rng.integers(2)),
        decay_rounding="toward_zero" if rng.integers(2) else "half_up",
    )


def _nearer(rng: np.random.Generator, formats: LayerFormats) -> LayerFormats:
    """Return formats with fewer wide shifts, which are refused: scales that fit each other, give or
    take some bits.
    """
    f = formats

    def near(fmt: Fixed, frac: int) -> Fixed:
        return replace(fmt, frac=frac + int(rng.integers(-30, 31)))

    f = replace(f, u=near(f.u, f.w_f.frac + f.payload.frac))
    f = replace(f, y=near(f.y, f.u.frac), a=replace(f.a, frac=int(rng.integers(-20, 49))))
    f = replace(f, x=near(f.x, f.w_x.frac + f.payload.frac), m=near(f.m, f.u.frac - f.p.frac))
    return f


def _draw_readout(rng: np.random.Generator, n_inputs: int) -> ReadoutParams:
    return ReadoutParams(
        n_inputs,
        int(rng.integers(1, 4)),
        _draw_format(rng),
        bias_width=_width(rng),
        logit_width=_width(rng),
        leaky=bool(rng.integers(3)),
        leak=_draw_decay(rng),
        decay_rounding="toward_zero" if rng.integers(2) else "half_up",
        report="max" if rng.integers(2) else "last",
    )


def _ends(rng: np.random.Generator, fmt: Fixed, shape: tuple[int, ...]) -> np.ndarray:
    """Draw integers at the ends of a format, or one beside them."""
    ends = [fmt.min, fmt.max, max(fmt.min, fmt.max - 1), min(fmt.max, fmt.min + 1)]
    kind = rng.integers(3)  # all the least, all the largest, any
    drawn = [ends[kind] if kind < 2 else ends[i] for i in rng.integers(0, 4, int(np.prod(shape)))]
    return np.array(drawn, np.int64).reshape(shape)


def _decay(rng: np.random.Generator, fmt: Fixed, shape: tuple[int, ...]) -> Any:
    """Draw decays: the largest that is at most 1, or one below it."""
    largest = min(fmt.max, 1 << fmt.frac)
    drawn = np.maximum(0, largest - rng.integers(0, 2, shape))
    return drawn.astype(np.int64) if shape else int(drawn)


def _draw_integers(rng: np.random.Generator, p: LayerParams) -> LayerIntegers:
    f, n, m, d = p.formats, p.n_neurons, p.n_inputs, p.n_state
    neuron: dict[str, Any] = {}
    for name in ("leak", *["alpha"] * p.synapse):
        shape = (n,) if name in p.per_neuron else ()
        neuron[name] = _decay(rng, getattr(f, name), shape)
    for name, fmt in (("threshold", f.threshold), *[("reset", p.reset_amount)] * p.own_reset):
        drawn = _ends(rng, fmt, (n,) if name in p.per_neuron else ())
        neuron[name] = drawn if drawn.ndim else int(drawn)
    if p.synapse:
        neuron["c_y"] = _ends(rng, f.c_y, (n,))
    return LayerIntegers(
        w_f=_ends(rng, f.w_f, (n, p.n_addresses)),
        w_x=_ends(rng, f.w_x, (m,)),
        b_x=int(_ends(rng, f.b_x, ())),
        a=_ends(rng, f.a, (d, d)),
        b=_ends(rng, f.b, (d,)),
        p=_ends(rng, f.p, (n, d)),
        v=_ends(rng, f.v, (n,)),
        c=_ends(rng, f.c, (n,)),
        **neuron,
    )
