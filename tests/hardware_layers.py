"""Layers, drawn ones too, and networks of them, for the tests of what follows from the hardware."""

from __future__ import annotations

from hypothesis import strategies as st

from golden.formats import Fixed
from golden.hardware.layer import LayerHardware
from golden.hardware.params import BLOCKS, EVENTS, LIST_BUFFERS, HardwareParams
from golden.params import LayerFormats, LayerParams, NetworkParams
from golden.readout_params import ReadoutParams

GRADED = LayerFormats(payload=Fixed(8, 8, signed=False))
HARDWARE = st.builds(
    HardwareParams,
    lanes=st.integers(1, 40),
    block=st.sampled_from(BLOCKS),
    events_per_cycle=st.sampled_from(EVENTS),
    products_per_cycle=st.integers(1, 8),
    list_buffers=st.sampled_from(LIST_BUFFERS),
)
LAYERS = st.builds(
    LayerHardware,
    st.builds(
        LayerParams,
        st.integers(1, 40),
        st.integers(1, 90),
        st.sampled_from((0, 1, 2, 5, 16, 40)),
        st.sampled_from((1, 2, 3, 5, 16, 40)),
    ),
    HARDWARE,
)


def network(*layers: LayerParams, n_classes: int = 10) -> NetworkParams:
    """Return a network of these layers and a readout."""
    return NetworkParams("some", layers, ReadoutParams(layers[-1].n_neurons, n_classes))
