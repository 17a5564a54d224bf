"""`workshop cli-script`: the whole build as a bash script, recorded from the steps themselves."""

import dataclasses
import sys
from typing import Annotated

from typer import Option

from workshop.boundary import bring_boundary
from workshop.captures import Recorded
from workshop.console import Console
from workshop.embedded import passing
from workshop.opening import load, open_workshop
from workshop.script import Script
from workshop.settings import Settings


def cli_script(
    settings: Settings,
    console: Console,
    cleanup: Annotated[bool, Option("--cleanup", help="The script that takes everything down again.")] = False,
) -> None:
    """Print a bash script of AWS CLI calls that builds the same as the steps.

    Example: workshop cli-script --prefix alice > build.sh && bash build.sh
    """
    console.note("Recording the calls on an embedded AWS of their own.")
    with passing("script") as folder:
        own = dataclasses.replace(settings, target="local", state_dir=folder, yes=True)
        sys.stdout.write(record(own, Console(json_only=True, quiet=True), cleanup))


def record(settings: Settings, console: Console, cleanup: bool) -> str:
    """Run the steps, and the clean-up if that is wanted, and write down the calls of the latter or the former."""
    ws = open_workshop(settings, console)
    bring_boundary(ws)
    recorded: list[Recorded] = []
    part = ""

    def listen(call) -> None:  # type: ignore[no-untyped-def]
        if call.service != "sts":
            recorded.append(Recorded(call, part))

    ws.client.listeners.append(listen)
    for step in ws.steps:
        part = f"Step {step.number}: {step.title}"
        step.run(ws)
    if cleanup:
        recorded.clear()
        part = "Take everything away"
        load("cleanup/teardown.py").delete_ours(ws)
    script = Script(ws.account, ws.region, settings.participant, recorded, cleanup)
    whose = f" for the prefix {settings.prefix}" if settings.prefix else ""
    if cleanup:
        return script.text(f"Takes the orders workshop down{whose}.", "bash cleanup.sh", "It is all gone.")
    last_words = f"It stands. Check it with: workshop verify{settings.options}"
    return script.text(f"Builds the orders workshop{whose}.", "bash build.sh", last_words)
