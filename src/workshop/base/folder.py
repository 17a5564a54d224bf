"""Files that nobody else can plant, swap or read: the state folder, and what is written into it.

The folder holds credentials and programs that end up in PATH. So it has to belong to this user and be closed to
writes by others, and no file in it is opened through a symbolic link, a pipe or a second name. What lies above the
folder is the user's business: who can rename its parents can put another folder in its place.
"""

import os
import shutil
import stat
import tempfile
from pathlib import Path

from workshop.base.errors import WorkshopError


def secure(folder: Path) -> Path:
    """Create a folder for this user alone, or check that an existing one is safe.

    Args:
        folder: where it is or will be.

    Returns:
        The folder.

    Raises:
        WorkshopError: others own it or can write to it.
        OSError: it cannot be created.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check(folder)
    return folder


def check(folder: Path) -> None:
    """Refuse a folder whose contents others can change. One that doesn't exist yet is fine.

    Raises:
        WorkshopError: others own it or can write to it.
    """
    try:
        status = folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    if status.st_uid != os.geteuid():
        raise WorkshopError(f"The state folder {folder} belongs to another user.", "Choose another --state-dir.")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise WorkshopError(
            f"Other users can write to the state folder {folder}.",
            f"Inspect its contents, then run: chmod go-w {folder}. Or choose another --state-dir.",
        )


def open_file(path: Path, flags: int) -> int:
    """Open a file of ours: no link is followed, no pipe waited for, and nothing with a second name accepted.

    Args:
        path: the file; with `os.O_CREAT` it is created for this user alone.
        flags: as for `os.open`.

    Returns:
        The file descriptor.

    Raises:
        OSError: there is no such file, or it isn't a plain file of this user.
    """
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink > 1:
        os.close(descriptor)
        raise OSError(0, "it isn't a plain file of yours", str(path))
    return descriptor


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one at a path: it may have been deleted, or replaced."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def read(path: Path) -> str:
    """The text of a file of ours.

    Raises:
        OSError: there is no such file, or it isn't a plain file of this user.
        UnicodeDecodeError: it isn't text.
    """
    with os.fdopen(open_file(path, os.O_RDONLY), encoding="utf-8") as file:
        return file.read()


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    """Write a file in one piece: a reader, or a kill, sees the old one or the new one.

    Whatever stood at that path is replaced and not followed, so a link's target stays as it is.

    Args:
        path: the file.
        text: its content.
        mode: who may read and run it.

    Returns:
        The path.

    Raises:
        OSError: it cannot be written.
    """
    # mkstemp creates the file with mode 0600, and os.replace keeps the mode.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def empty(folder: Path) -> Path:
    """Make a folder anew, without anything in it; what a link at that path points to stays as it is.

    Raises:
        OSError: it cannot be removed or created.
    """
    remove(folder)
    folder.mkdir(mode=0o700)
    return folder


def remove(path: Path) -> None:
    """Remove whatever stands at a path: a folder with all in it, a file, or a link but not its target.

    Raises:
        OSError: it cannot be removed.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
