"""`workshop local …`: the embedded AWS, for those who want to reach it with other tools."""

import shlex

from workshop.console import Console
from workshop.embedded import Embedded, environment
from workshop.errors import WorkshopError
from workshop.settings import Settings


def start(settings: Settings, console: Console) -> None:
    """Start the embedded AWS; nothing happens if it runs already.

    Example: workshop local start
    """
    instance, started = Embedded(settings.state_dir).start()
    console.say(f"{'Started' if started else 'Already running'} at {instance.endpoint} (process {instance.pid}).")
    console.say('Reach it with plain aws and curl: eval "$(workshop local env)"')


def stop(settings: Settings, console: Console) -> None:
    """Stop the embedded AWS; it forgets everything.

    Example: workshop local stop
    """
    stopped = Embedded(settings.state_dir).stop()
    console.say("Stopped, and everything in it is gone." if stopped else "It was not running.")


def status(settings: Settings, console: Console) -> None:
    """Say whether the embedded AWS runs, and where.

    Example: workshop local status
    """
    embedded = Embedded(settings.state_dir)
    instance = embedded.running()
    if instance is None:
        raise WorkshopError("The embedded AWS is not running.", "Start it with: workshop local start")
    console.say(f"Running at {instance.endpoint} (process {instance.pid}); its log: {embedded.log_path}")


def reset(settings: Settings, console: Console) -> None:
    """Begin from empty: a fresh embedded AWS.

    Example: workshop local reset
    """
    console.say(f"Running at {Embedded(settings.state_dir).reset().endpoint}, and empty.")


def env(settings: Settings, console: Console) -> None:
    """Print the exports with which plain aws and curl reach the embedded AWS.

    Example: eval "$(workshop local env)"
    """
    embedded = Embedded(settings.state_dir)
    instance, _ = embedded.start()
    for name, value in environment(embedded, instance, settings.region).items():
        console.say(f"export {name}={shlex.quote(value)}")
