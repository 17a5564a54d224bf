"""An embedded AWS for one command, in a temporary folder. Both end with the command, however it ends."""

import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from workshop.base import folder as files
from workshop.base.errors import WorkshopError
from workshop.embedded.instance import started
from workshop.embedded.process import Embedded


@contextlib.contextmanager
def passing(what: str) -> Iterator[Path]:
    """A state folder with an embedded AWS of its own; both are gone afterwards, even if this process is killed.

    Args:
        what: what it is for, in small letters, as part of the folder's name.
    """
    sweep()
    own = os.getpid()
    with tempfile.TemporaryDirectory(prefix=f"workshop-{what}-{own}-{_moment(own)}-") as folder:
        embedded = Embedded(Path(folder), tied=True)
        try:
            embedded.start()
            yield Path(folder)
        finally:
            embedded.stop()


def sweep() -> None:
    """Remove the folders of `passing` whose process was killed, as far as they are this user's."""
    for path in Path(tempfile.gettempdir()).glob("workshop-*-*-*-*"):
        made_by = re.fullmatch(r"workshop-[a-z]+-(\d+)-(\w*)-[^-]+", path.name)
        if made_by is None or _moment(int(made_by[1])) == made_by[2]:
            continue
        with contextlib.suppress(OSError, WorkshopError):
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
                Embedded(path).stop()
                files.remove(path)


def _moment(pid: int) -> str:
    """When a process started, fit for a file's name."""
    return re.sub(r"\W", "", started(pid))
