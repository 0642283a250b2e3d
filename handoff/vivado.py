"""A script that packages the core as an IP for Vivado's catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from golden.manifest import VERSION
from handoff.fusesoc import LIBRARY, VENDOR

_SCRIPT = """# Run in the package's folder: vivado -mode batch -source package_ip.tcl
# It writes component.xml and xgui/ here; add the folder to the IP repositories of a project.
set root [file normalize [file dirname [info script]]]
create_project -in_memory -part {part}
foreach file {{{sources}}} {{
    add_files -norecurse [file join $root $file]
}}
foreach file {{{constraints}}} {{
    add_files -fileset constrs_1 -norecurse [file join $root $file]
    # The clock is that of the design around the core, unless it is built on its own.
    set_property USED_IN {{synthesis implementation out_of_context}} [get_files [file tail $file]]
}}
set_property top {top} [current_fileset]
update_compile_order -fileset sources_1
ipx::package_project -root_dir $root -vendor {vendor} -library {library} -taxonomy /UserIP
set core [ipx::current_core]
set_property name {name} $core
set_property version {version} $core
set_property display_name {{{name}}} $core
set_property description {{{description}}} $core
set clock [ipx::infer_bus_interface clk xilinx.com:signal:clock_rtl:1.0 $core]
ipx::add_bus_parameter FREQ_HZ $clock
set reset [ipx::infer_bus_interface rst xilinx.com:signal:reset_rtl:1.0 $core]
set_property value ACTIVE_HIGH [ipx::add_bus_parameter POLARITY $reset]
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
"""


def write_packaging(
    name: str,
    top: str,
    sources: Sequence[str],
    constraints: Sequence[str],
    description: str,
    part: str,
) -> str:
    """Return the Tcl script; paths are those in the package.

    It was run against recorded calls only: no Vivado was at hand.
    """
    return _SCRIPT.format(
        name=name, top=top, sources=" ".join(sources), constraints=" ".join(constraints),
        description=description, part=part, vendor=VENDOR, library=LIBRARY, version=VERSION,
    )  # fmt: skip
