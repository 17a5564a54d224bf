"""The few ways in which the workshop stops: each says what happened and what to try."""


class WorkshopError(Exception):
    """Something does not hold. The command line prints it as one line and exits with `exit_code`.

    Args:
        problem: where and what, as a sentence.
        remedy: what to try, as a sentence; a command that can be typed where there is one.
        code: what a program can tell the error by; by default the name of its type.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "", code: str = "") -> None:
        super().__init__(f"{problem} {remedy}".strip())
        self.problem, self.remedy, self.code = problem, remedy, code or type(self).__name__


class UsageError(WorkshopError):
    """The command was called with something it cannot take: exit code 2, nothing was changed."""

    exit_code = 2


class Interrupted(WorkshopError):
    """Ctrl-C ended the command early; it says what had been done by then. 130 is what shells expect."""

    exit_code = 130


class NotBuilt(WorkshopError):
    """A resource that an earlier step makes is not there yet; the remedy names that step."""


class ForeignResource(WorkshopError):
    """A resource of our name lacks our tags, or belongs to another region: it stays as it is.

    Args:
        problem, remedy: as for every `WorkshopError`.
        whose: whose it is, in a word or two.
    """

    def __init__(self, problem: str, remedy: str = "", whose: str = "somebody else's") -> None:
        super().__init__(problem, remedy)
        self.whose = whose


class GaveUp(WorkshopError):
    """AWS kept refusing, with an answer that normally passes, until the deadline."""
