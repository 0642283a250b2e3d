"""The standard top in a package: its Verilog, its registers, its images for a C program, and a
module of LiteX around it.
"""

from __future__ import annotations

from pathlib import Path

from export.images import Images
from golden.errors import UserError
from golden.hardware.core import CoreParams
from golden.interface import read_verilog
from golden.manifest import digest
from golden.registers import ADDRESS_WIDTH, AXI_TOP, BUS_WIDTH
from handoff.c_images import c_images

MODULE = "litex_dmp_core.py"

# Ports of the top by what LiteX calls them: AXI4-Lite channel by channel.
_CHANNELS = {
    "aw": {"awaddr": "addr", "awvalid": "valid", "awready": "ready"},
    "w": {"wdata": "data", "wstrb": "strb", "wvalid": "valid", "wready": "ready"},
    "b": {"bresp": "resp", "bvalid": "valid", "bready": "ready"},
    "ar": {"araddr": "addr", "arvalid": "valid", "arready": "ready"},
    "r": {"rdata": "data", "rresp": "resp", "rvalid": "valid", "rready": "ready"},
}
_OUTPUTS = {"awready", "wready", "bresp", "bvalid", "arready", "rdata", "rresp", "rvalid"}

_TEXT = '''"""{top} in LiteX: the core of network {name}, with AXI4-Lite on the SoC's bus and two
streams as endpoints. Written by dmp-core.

core = add_dmp_core(soc, origin=0x3000_0000)
soc.comb += [events.connect(core.events), core.results.connect(results)]
"""

from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.integration.soc import SoCRegion
from litex.soc.interconnect import axi, stream
from migen import ClockSignal, Instance, ResetSignal

TOP = "{top}"
VERILOG = Path(__file__).with_name("{verilog}")
SIZE = 1 << {address_width}  # bytes of registers


class DMPCore(LiteXModule):
    """The core, in clock domain `sys`.

    bus
        AXI4-Lite: the registers, with byte addresses.
    events
        A sink: `data` is an event word; `last` ends a timestep and `user` a sequence, as bits of
        the word do. A source without `last` and `user` leaves them 0.
    results
        A source: a packet a sequence.
    """

    def __init__(self, platform=None):
        self.bus = bus = axi.AXILiteInterface(data_width={bus_width}, address_width=32)
        self.events = stream.Endpoint([("data", {bus_width}), ("user", 1)])
        self.results = stream.Endpoint([("data", {bus_width})])
        self.specials += Instance(
            TOP,
            i_aclk=ClockSignal("sys"),
            i_aresetn=~ResetSignal("sys"),
            i_s_axi_awprot=0,
            i_s_axi_arprot=0,
{channels}
            i_s_axis_events_tdata=self.events.data,
            i_s_axis_events_tlast=self.events.last,
            i_s_axis_events_tuser=self.events.user,
            i_s_axis_events_tvalid=self.events.valid,
            o_s_axis_events_tready=self.events.ready,
            o_m_axis_results_tdata=self.results.data,
            o_m_axis_results_tlast=self.results.last,
            o_m_axis_results_tvalid=self.results.valid,
            i_m_axis_results_tready=self.results.ready,
        )
        if platform is not None:
            platform.add_source(str(VERILOG))


def add_dmp_core(soc, name="dmp", origin=None):
    """Put a core on the bus of a SoC, at `origin` or where there is room, and return it."""
    core = DMPCore(soc.platform)
    soc.add_module(name, core)
    soc.bus.add_slave(name, core.bus, SoCRegion(origin=origin, size=SIZE, cached=False))
    return core
'''


def write_module(name: str) -> str:
    """Return the LiteX module around the standard top of network `name`."""
    lines = [
        f"            {'o' if port in _OUTPUTS else 'i'}_s_axi_{port}=bus.{channel}.{signal}"
        f"{f'[:{ADDRESS_WIDTH}]' if signal == 'addr' else ''},"
        for channel, ports in _CHANNELS.items()
        for port, signal in ports.items()
    ]
    return _TEXT.format(
        top=AXI_TOP, name=name, verilog=f"{name}_axi.v", address_width=ADDRESS_WIDTH,
        bus_width=BUS_WIDTH, channels="\n".join(lines),
    )  # fmt: skip


def axi_files(manifest: Path, core: CoreParams, images: Images) -> dict[str, str]:
    """Return the files of the standard top by their path in a package: none where `dmp rtl
    MANIFEST --top axi` has not written it.

    Raises
    ------
    UserError
        It is of an earlier manifest.
    """
    name = core.network.name
    verilog = manifest.parent / f"{name}_axi.v"
    if not verilog.exists():
        return {}
    command = f"dmp rtl {manifest} --top axi"
    head = read_verilog(verilog, command).split("\nmodule", 1)[0]
    if digest(manifest) not in head:
        raise UserError(
            f"{verilog} belongs to an earlier manifest: write it again ({command}), or remove it"
        )
    paths = [verilog.with_suffix(suffix) for suffix in (".v", ".h", ".md")]
    files = {f"axi/{path.name}": path.read_text() for path in paths}
    return files | {
        f"axi/{name}_images.h": c_images(core, images),
        f"axi/{MODULE}": write_module(name),
    }
