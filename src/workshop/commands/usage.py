"""Find commands by name, and explain command lines that are wrong."""

import re
from typing import Any

from typer.core import TyperGroup
from typer.exceptions import TyperException

from workshop.base.errors import UsageError
from workshop.base.spelling import step_names, suggestion


class Commands(TyperGroup):
    """A group of commands in which `3`, `sqs` and `03_sqs` are the same step."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show the help if there are no arguments."""
        return super().parse_args(ctx, args or ["--help"])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command.

        Raises:
            UsageError: there is no such command.
        """
        typed, steps = args[0], step_names(self.commands)
        if typed in self.commands or typed.startswith("-"):
            return super().resolve_command(ctx, args)
        if typed.lower() in steps:
            return super().resolve_command(ctx, [steps[typed.lower()], *args[1:]])
        known = steps | {name: name for name in self.commands}
        meant = suggestion(typed, {name: f"{ctx.command_path} {command}" for name, command in known.items()})
        raise UsageError(f"There is no command {typed!r}.", meant or f"See: {ctx.command_path} --help")


def usage_error(error: TyperException) -> UsageError:
    """Turn an error of Typer into one that says what is wrong and what to type.

    The classes of these errors aren't public; their names and attributes are click's:
    https://click.palletsprojects.com/en/stable/api/#exceptions
    """
    found: Any = error
    ctx, param = getattr(found, "ctx", None), getattr(found, "param", None)
    remedy = f"See: {ctx.command_path if ctx else 'workshop'} --help"
    options = {opt: one for one in (ctx.command.params if ctx else ()) for opt in one.opts if opt.startswith("--")}
    extra = re.search(r"extra argument\(s\) \((.*)\)$", found.message)
    match type(error).__name__:
        case "NoSuchOption":
            shown = {opt: opt for opt, one in options.items() if not one.hidden}
            problem = f"There is no option {found.option_name}."
            remedy = suggestion(found.option_name, shown) or remedy
        case "BadOptionUsage":
            takes_none = "not take" in found.message
            problem = f"{found.option_name} {'takes no value' if takes_none else 'needs a value'}."
        case "MissingParameter" if param:
            problem = f"{named(param)} is missing."
        case "BadParameter" if param:
            problem = f"{named(param)} takes {expected(param)}."
        case _ if ctx and extra:
            problem = f"{ctx.command_path} doesn't take {extra[1]!r}."
        case _:
            problem = "This command line can't be read."
    return UsageError(problem, remedy)


def named(param: Any) -> str:
    """Return the name of an option or argument, as in help."""
    return str(param.opts[0] if param.opts[0].startswith("-") else param.metavar or param.name.upper())


def expected(param: Any) -> str:
    """Describe what an option or argument accepts, such as `a whole number from 1 to 20,000`."""
    low, high = getattr(param, "min", None), getattr(param, "max", None)
    kind = {int: "a whole number", float: "a number"}.get(param.type_descriptor.annotation, "something else")
    if low is not None and high is not None:
        return f"{kind} from {low:,} to {high:,}"
    return f"{kind}, at least {low:,}" if low is not None else kind
