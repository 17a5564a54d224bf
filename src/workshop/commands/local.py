"""`workshop local …`: manage the embedded AWS, and connect other tools to it."""

import shlex

from workshop.base.console import Console
from workshop.base.errors import WorkshopError
from workshop.base.settings import Settings
from workshop.embedded import Embedded, environment


def start(settings: Settings, console: Console) -> None:
    """Start the embedded AWS, unless it's running.

    Example: workshop local start
    """
    instance, started = Embedded(settings.state_dir).start()
    console.say(f"{'Started' if started else 'Already running'} at {instance.endpoint} (process {instance.pid}).")
    console.say('To connect plain aws and curl: eval "$(workshop local env)"')


def stop(settings: Settings, console: Console) -> None:
    """Stop the embedded AWS and lose its contents.

    Example: workshop local stop
    """
    stopped = Embedded(settings.state_dir).stop()
    console.say("Stopped. Everything in it is gone." if stopped else "It wasn't running.")


def status(settings: Settings, console: Console) -> None:
    """Show whether the embedded AWS is running, and where.

    Example: workshop local status
    """
    embedded = Embedded(settings.state_dir)
    instance = embedded.running()
    if instance is None:
        raise WorkshopError("The embedded AWS isn't running.", "Start it: workshop local start")
    console.say(f"Running at {instance.endpoint} (process {instance.pid}). Log: {embedded.log_path}")


def reset(settings: Settings, console: Console) -> None:
    """Restart the embedded AWS empty, on the same port.

    Example: workshop local reset
    """
    console.say(f"Running at {Embedded(settings.state_dir).reset().endpoint}, empty.")


def env(settings: Settings, console: Console) -> None:
    """Print exports that connect plain aws and curl to the embedded AWS.

    Example: eval "$(workshop local env)"
    """
    embedded = Embedded(settings.state_dir)
    instance, _ = embedded.start()
    for name, value in environment(embedded, instance, settings.region).items():
        console.say(f"export {name}={shlex.quote(value)}")
