"""`python -m golden.data`: sequences from files of events, and from recordings."""

from __future__ import annotations

import click

from golden.command_line import Group
from golden.data import events_command, spoken_command


@click.group(cls=Group, context_settings={"show_default": True})
def main() -> None:
    """Turn events and recordings into files of sequences that every command takes as DATA."""


main.add_command(events_command.command)
main.add_command(spoken_command.command)


if __name__ == "__main__":
    main()
