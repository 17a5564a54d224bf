"""Errors in a notebook: one line with the remedy, and those that a lesson shows on purpose."""

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from workshop.aws.error_messages import explain
from workshop.base.errors import WorkshopError
from workshop.base.printable import printable
from workshop.notebook.page import shell_of, tell

#: How AWS names it when a caller may not, or is nobody: services have different codes for it.
DENIED = (
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "AuthorizationErrorException",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
)
#: What to do in a notebook where nothing has to be mended first.
AGAIN = "Run this cell again: it goes on where it stopped."


def explain_errors() -> None:
    """Let errors of the workshop and of AWS appear as one line with the remedy."""
    shell = shell_of()
    if shell is not None:
        shell.set_custom_exc((WorkshopError, ClientError, BotoCoreError, NameError), show_error)


def show_error(shell: Any, kind: type, error: Exception, trace: TracebackType, tb_offset: int | None = None) -> None:
    """What IPython calls instead of showing a traceback. The cell still counts as failed."""
    if isinstance(error, NameError) and error.name != "ws":
        shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
        return
    # What the kernel itself calls to send a traceback; there is no public way to send a shorter one.
    shell._showtraceback(kind, error, [f"\x1b[1;31mError:\x1b[0m {printable(in_words(error))}"])


def in_words(error: Exception) -> str:
    """An error in one line, with what to try."""
    if isinstance(error, NameError):
        return "The workshop is not open yet. Run the first code cell of this notebook."
    return str(explain(error, AGAIN))


@contextlib.contextmanager
def expect_error(*codes: str) -> Iterator[None]:
    """Show the error with which the `with` block ends, as what was to be seen.

    Args:
        codes: of the error that is expected: AWS's code, or that of a `WorkshopError`. Any of them will do.

    Raises:
        WorkshopError: it ended without an error, or with another one.
    """
    expected = " or ".join(codes)
    try:
        yield
    except (WorkshopError, ClientError) as error:
        code = error.code if isinstance(error, WorkshopError) else error.response["Error"]["Code"]
        said = error if isinstance(error, WorkshopError) else explain(error).problem
        if code not in codes:
            raise WorkshopError(
                f"This should have failed with {expected}. It failed with {code}: {said}",
                "Run the cells above again.",
            ) from error
        tell(f"As expected: {said}")
    else:
        raise WorkshopError(
            f"This should have failed with {expected}, but it succeeded.", "Run the step again, then this cell."
        )
