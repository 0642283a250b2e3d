"""The bundles of signals that the components around the slow state share (see `rtl.signatures`)."""

from __future__ import annotations

from amaranth.hdl import ShapeLike, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.formats import Fixed
from golden.hardware.layer import LayerHardware
from golden.hardware.memory import address_width
from rtl.fixed import shape_of
from rtl.layouts import Array
from rtl.signatures import Signature


class HistoryReadPorts(wiring.PureInterface):
    enable: Signal
    buffer: Signal
    index: Signal
    states: Array


class HistoryRead(Signature):
    """From the dense state path to the history of the slow state: a read.

    Members
    -------
    enable, buffer, index
        Word `index` of a buffer is read. Blocks take the two buffers in turn, buffer 1 the first
        after a reset.
    states
        From the history, two cycles later: `states[slot][i]`, row `index * products_per_cycle +
        slot` of the slow state as it is before each of the block's `refreshable` timesteps. At
        the start of a sequence that before the first timestep has no meaning.
    """

    ports = HistoryReadPorts

    def __init__(self, layer: LayerHardware) -> None:
        states = data.ArrayLayout(
            data.ArrayLayout(shape_of(layer.params.formats.m), len(layer.refreshable)),
            layer.hardware.products_per_cycle,
        )
        super().__init__(
            {
                "enable": Out(1),
                "buffer": Out(1),
                "index": Out(address_width(layer.dense_steps)),
                "states": In(states),
            }
        )


class SharedProductsPorts(wiring.PureInterface):
    payloads: Array
    weights: Array
    products: Array


class SharedProducts(Signature):
    """From the sparse spike path to the dense state path, whose multipliers take its events: a
    step's weights times payloads.

    Members
    -------
    payloads
        `payloads[event][timestep]` in `CHOOSE_STAGE`; 0 where the step adds fewer events.
    weights
        `weights[event][lane]`, when coefficients of the dense path are read.
    products
        From the dense state path, a cycle after `MULTIPLY_STAGE`:
        `products[event][lane][timestep]`, of a step that adds events.
    """

    ports = SharedProductsPorts

    def __init__(self, layer: LayerHardware) -> None:
        n_events, lanes = layer.hardware.events_per_cycle, layer.lanes
        w_f, payload = layer.params.formats.w_f, layer.payload

        def of_events(shape: ShapeLike, *sizes: int) -> data.ArrayLayout:
            for size in reversed(sizes):
                shape = data.ArrayLayout(shape, size)
            return data.ArrayLayout(shape, n_events)

        product = shape_of(Fixed(w_f.width + payload.width + (not payload.signed)))
        super().__init__(
            {
                "payloads": Out(of_events(shape_of(payload), layer.block)),
                "weights": Out(of_events(shape_of(w_f), lanes)),
                "products": In(of_events(product, lanes, layer.block)),
            }
        )


class NewDrivePorts(wiring.PureInterface):
    valid: Signal
    value: Signal
    first: Signal
    last: Signal


class NewDrive(Signature):
    """From the drive to the slow state: the drive of a timestep, in the cycle in which it is
    computed.

    Members
    -------
    valid, value
        A drive, in x's format.
    first, last
        It is the first of its sequence, the last of its block.
    """

    ports = NewDrivePorts

    def __init__(self, layer: LayerHardware) -> None:
        value = shape_of(layer.params.formats.x)
        super().__init__({"valid": Out(1), "value": Out(value), "first": Out(1), "last": Out(1)})
