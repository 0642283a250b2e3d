"""`dmp`: every command of the project."""

from __future__ import annotations

import click

from dmp_core.commands import COMMANDS
from dmp_core.core_command import with_core
from golden.command_line import Group
from golden.manifest import VERSION


class Commands(Group):
    """The commands of all packages; each is loaded when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        entry = COMMANDS[cmd_name]
        command = entry.load()
        if entry.making:
            command = with_core(command, entry.making)
        command.epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in entry.examples)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.text) for name, entry in COMMANDS.items()])


@click.group(cls=Commands, epilog="dmp COMMAND --help shows options and examples.")
@click.version_option(VERSION, prog_name="dmp")
def main() -> None:
    """From a trained spiking network to a near-memory core: its Verilog, and the proof that this
    computes what the integers do.
    """


if __name__ == "__main__":
    main(prog_name="dmp")
