"""`dmp chain`: make the cores of the parts of a network, and run them one after another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from dmp_core.core_command import FIT, fitted, refuse_shape, write_verilog
from dmp_core.shape import SHAPE
from export.claim import claimed
from export.core import make_core
from export.sequences import first_sequences
from export.store import find_dataset, load_network
from golden.command_line import DATA, Command, Count, count_option
from golden.errors import UserError, report_user_errors
from golden.hardware.core import CoreParams
from golden.hardware.params import HardwareParams
from golden.manifest import MANIFEST, read_core
from tb.chain import Chain, check_chain, compare_chain, simulate_chain
from tb.chain_report import chain_lines, summarize_chain
from tb.report import write_report

REPORT = "chain.json"
OUT = click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of a folder for each core [default: build]",
)


@report_user_errors
def _run(
    networks: tuple[str, ...],
    count: Count,
    data: Path | None,
    fit: bool,
    out: Path | None,
    **shape: Any,
) -> None:
    context = click.get_current_context()
    made = [Path(name).name == MANIFEST for name in networks]
    if all(made) and networks:
        refuse_shape(context, networks[0])
    found: list[tuple[str, HardwareParams | None, Path]] = []
    cores: list[CoreParams] = []
    for name, is_made in zip(networks, made, strict=True):
        if is_made:
            cores.append(read_core(Path(name))[0])
            found.append((claimed(Path(name).parent) or cores[-1].network.name, None, Path(name)))
            continue
        params = load_network(name).params
        folder = (out or Path("build")) / params.name
        chosen = fitted(context, name, folder) if fit else shape
        hardware = HardwareParams(**chosen)
        cores.append(CoreParams(params, hardware))
        found.append((name, hardware, folder))
    check_chain(cores)
    if len({name for name, _, _ in found}) < len(found):
        raise UserError("a network is twice in the chain: each core needs one of its own")
    manifests = []
    for name, hardware, place in found:
        manifests.append(place if hardware is None else make_core(name, hardware, place))
        write_verilog(manifests[-1], ["axi"])
    dataset = first_sequences(cores[0], manifests[0], find_dataset(found[0][0], data), count)
    payloads = dataset.sequences()
    report = manifests[-1].parent / REPORT
    report.unlink(missing_ok=True)
    chain = Chain.read(manifests)
    click.echo("building the Verilator model...", err=True)
    with tqdm(total=len(payloads), desc="simulated", unit="sequence") as bar:
        beside = manifests[-1].parent / "verilator"
        ran = simulate_chain(chain, payloads, beside, progress=bar.update)
    activities = chain.golden(payloads)
    comparison = compare_chain(chain, activities, ran)
    summary = summarize_chain(chain, activities, ran, comparison)
    write_report(summary, report)
    click.echo("\n".join(chain_lines(summary)))
    click.echo(f"wrote {report}")
    if comparison.mismatches:
        click.echo(f"error: {comparison.mismatches} values differ from the golden model", err=True)
        sys.exit(1)


HELP = """Make the cores of NETWORKS, simulate them as a chain, and compare with the golden model.

Each core's spikes are the next one's events, over AXI4-Stream between their standard tops. NETWORKS
are the parts that dmp split stored, in their order, or manifests of cores, which are used as they
are. The hardware is the same for all, or with --fit for each what dmp fit chose for it.

Compared are all results, the cycle of each, and the counters and error flags of all cores. Exits
with status 1 where a value differs from the golden model's.
"""
command = Command(
    "chain",
    params=[click.Argument(["networks"], nargs=-1, required=True), *SHAPE, FIT],
    callback=_run,
    help=HELP,
    context_settings={"show_default": True},
)
for option in (DATA, count_option(4), OUT):
    option(command)
