"""Run by `test_litex.py` in a process of its own: a SoC of LiteX with a core, whose bus master and
streams are pins; writes its Verilog. Arguments: the package's folder `axi`, the bus, the output.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from litex.build.generic_platform import Pins, Subsignal
from litex.build.sim import SimPlatform
from litex.soc.integration.soc_core import SoCMini
from litex.soc.interconnect import axi, stream
from migen import ClockDomain, Module

folder, bus, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
sys.path.insert(0, str(folder))
from litex_dmp_core import add_dmp_core  # noqa: E402  # pyright: ignore[reportMissingImports]

ORIGIN = 0x3000_0000
CHANNELS = {
    "aw": {"addr": 14, "valid": 1, "ready": 1},
    "w": {"data": 32, "strb": 4, "valid": 1, "ready": 1},
    "b": {"resp": 2, "valid": 1, "ready": 1},
    "ar": {"addr": 14, "valid": 1, "ready": 1},
    "r": {"data": 32, "resp": 2, "valid": 1, "ready": 1},
}
FROM_SLAVE = {"awready", "wready", "bresp", "bvalid", "arready", "rdata", "rresp", "rvalid"}
AXI = {f"{c}{s}": width for c, signals in CHANNELS.items() for s, width in signals.items()}
EVENTS = {"tdata": 32, "tlast": 1, "tuser": 1, "tvalid": 1, "tready": 1}
RESULTS = {"tdata": 32, "tlast": 1, "tvalid": 1, "tready": 1}


def pins(name: str, signals: dict[str, int]) -> tuple[Any, ...]:
    return (name, 0, *(Subsignal(signal, Pins(width)) for signal, width in signals.items()))


class Soc(SoCMini):
    """The pins have the names of the core's, so that the same shim drives both."""

    comb: Any  # Migen's attributes have no types
    bus: Any

    def __init__(self) -> None:
        io = [("aclk", 0, Pins(1)), ("aresetn", 0, Pins(1)), pins("s_axi", AXI),
              pins("s_axis_events", EVENTS), pins("m_axis_results", RESULTS)]  # fmt: skip
        platform: Any = SimPlatform("SIM", io)
        super().__init__(platform, clk_freq=int(1e6), bus_standard=bus, bus_timeout=None)
        self.crg: Any = Module()
        cd_sys: Any = ClockDomain("sys")
        self.crg.clock_domains.cd_sys = cd_sys
        self.comb += [
            cd_sys.clk.eq(platform.request("aclk")),
            cd_sys.rst.eq(~platform.request("aresetn")),
        ]
        host: Any = axi.AXILiteInterface(data_width=32, address_width=32)
        self.bus.add_master("host", host)
        pads = platform.request("s_axi")
        for channel, signals in CHANNELS.items():
            for signal in signals:
                pad, inner = (
                    getattr(pads, channel + signal),
                    getattr(getattr(host, channel), signal),
                )
                if channel + signal in FROM_SLAVE:
                    self.comb += pad.eq(inner)
                else:
                    self.comb += inner.eq(pad | ORIGIN if signal == "addr" else pad)
        core = add_dmp_core(self, origin=ORIGIN)
        events, results = platform.request("s_axis_events"), platform.request("m_axis_results")
        source: Any = stream.Endpoint([("data", 32)])
        sink: Any = stream.Endpoint([("data", 32)])
        self.comb += [source.connect(core.events), core.results.connect(sink)]
        self.comb += [
            source.data.eq(events.tdata), source.last.eq(events.tlast),
            source.valid.eq(events.tvalid), events.tready.eq(source.ready),
            results.tdata.eq(sink.data), results.tlast.eq(sink.last),
            results.tvalid.eq(sink.valid), sink.ready.eq(results.tready),
        ]  # fmt: skip


soc = Soc()
soc.finalize()
out.write_text(str(soc.platform.get_verilog(soc, name=out.stem)))
print("\n".join(str(source[0]) for source in soc.platform.sources))
