"""The embedded AWS as a process: started, found again, ended.

Every state folder has its own, on a free port of the loopback interface. A running one is recognised by a lock that
the process holds from its first to its last moment, and that the kernel frees. Should somebody delete the lock's
file, the record still names the process and the moment at which it started. It forgets everything when it stops;
`Instance.id` tells one life from the next, so that records of an earlier life are recognised.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workshop.base import folder as files
from workshop.base.errors import WorkshopError
from workshop.embedded.credentials import new_secret
from workshop.embedded.instance import Instance, started

LOOPBACK = "127.0.0.1,localhost"
LAUNCHER = (sys.executable, "-m", "workshop.embedded.launcher")
#: Seconds that a start or a stop may take.
START_STOP_TIMEOUT = 60.0
#: What ministack gets of this environment. The functions inherit it, so it holds what any program needs, and no
#: token, password or path of the user's. Without HOME, Python asks the system where the user's own packages are.
KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "PYTHONUSERBASE", "LD_LIBRARY_PATH")


class Embedded:
    """The embedded AWS of one state folder.

    Args:
        state_dir: where its record, its log and its temporary files are.
        tied: it ends with this process, however that ends, and its folder goes with it.
    """

    def __init__(self, state_dir: Path, tied: bool = False) -> None:
        self.folder = state_dir.resolve()
        self.record_path = self.folder / "embedded.json"
        self.log_path = self.folder / "embedded.log"
        self.lock_path = self.folder / "embedded.lock"
        self.tied = tied
        self._tie: Any = None

    def running(self) -> Instance | None:
        """The instance that runs now, or None.

        Raises:
            WorkshopError: others can write to the folder, so nothing in it can be believed.
        """
        files.check(self.folder)
        try:
            lock = files.open_file(self.lock_path, os.O_RDONLY)
        except OSError:
            return self._alive()
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._recorded()
        finally:
            os.close(lock)
        return self._alive()

    def start(self) -> tuple[Instance, bool]:
        """Start it, unless it runs.

        Returns:
            The instance, and whether it was started just now.

        Raises:
            WorkshopError: it does not come up, or the folder cannot be used.
        """
        _keep_off_proxies()
        with self.one_at_a_time():
            instance = self.running()
            if instance is not None and _answers(instance):
                return instance, False
            if instance is not None:
                self._end(instance)
            return self._launch(), True

    def stop(self) -> bool:
        """End it, and with it everything that it held.

        Returns:
            Whether there was anything to end.

        Raises:
            WorkshopError: it does not end, or the folder cannot be used.
        """
        if not self.folder.exists():
            return False
        with self.one_at_a_time():
            instance = self.running()
            if instance is None:
                return False
            self._end(instance)
            return True

    def reset(self) -> Instance:
        """Begin from empty: a new life on the same port.

        Raises:
            WorkshopError: it does not end or does not come up.
        """
        self.stop()
        return self.start()[0]

    @contextlib.contextmanager
    def one_at_a_time(self) -> Iterator[None]:
        """Let two commands that start or stop it come one after the other."""
        with self.writing():
            files.secure(self.folder)
            gate = files.open_file(self.folder / "embedded.gate", os.O_RDWR | os.O_CREAT)
        with os.fdopen(gate):
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turn an error of the file system into one of ours."""
        try:
            yield
        except OSError as error:
            where = error.filename or self.folder
            raise WorkshopError(
                f"{where} isn't writable: {error.strerror}.",
                "Check the folder's permissions, or choose another --state-dir.",
            ) from None

    def _recorded(self) -> Instance | None:
        # The lock file repeats the record, for the case that the record gets lost while the process lives.
        for path in (self.record_path, self.lock_path):
            try:
                return Instance.parse(files.read(path), self.folder)
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                continue
        return None

    def _alive(self) -> Instance | None:
        """What is recorded, if that process runs."""
        recorded = self._recorded()
        return recorded if recorded and recorded.is_alive else None

    def _launch(self) -> Instance:
        last = self._recorded()
        port, secret = _free_port(last.port if last else None), new_secret()
        with self.writing():
            temporary = self.folder / "embedded.tmp"
            # The launcher writes a new one.
            files.remove(self.folder / "embedded.ca.pem")
            # What an earlier life left: the code of functions that are gone.
            files.empty(temporary)
            files.write(self.log_path, "")
            lock = self._lock()
            log = files.open_file(self.log_path, os.O_WRONLY | os.O_APPEND)
        with os.fdopen(lock, "r+") as held, os.fdopen(log, "a") as written:
            process = subprocess.Popen(
                [*LAUNCHER, str(self.folder), *(["tied"] if self.tied else [])],
                env={name: os.environ[name] for name in KEPT if name in os.environ} | {"TMPDIR": str(temporary)},
                cwd=temporary,
                stdin=subprocess.PIPE,
                stdout=written,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is meant for the command, not for the embedded AWS.
                start_new_session=True,
                pass_fds=[lock],
            )
            self._tell(process, [port, secret])
            instance = Instance(uuid.uuid4().hex, process.pid, started(process.pid), port, secret, self.folder)
            with self.writing():
                files.write(self.record_path, instance.record)
                held.truncate(0)
                held.write(instance.record)
        began = time.monotonic()
        while not _answers(instance):
            if process.poll() is not None or time.monotonic() - began > START_STOP_TIMEOUT:
                _kill(process.pid)
                raise WorkshopError("The embedded AWS didn't start.", f"See its log: {self.log_path}")
            time.sleep(0.05)
        return instance

    def _lock(self) -> int:
        """Take the lock that tells that it lives; the process inherits it."""
        lock = files.open_file(self.lock_path, os.O_RDWR | os.O_CREAT)
        began = time.monotonic()
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock
            except BlockingIOError:
                # Somebody who only looks holds it for a moment.
                if time.monotonic() - began > 1:
                    os.close(lock)
                    raise WorkshopError(
                        f"An embedded AWS runs in {self.folder}, but its record is lost.",
                        "End the process by hand.",
                    ) from None
                time.sleep(0.02)

    def _tell(self, process: "subprocess.Popen[bytes]", needed: list[Any]) -> None:
        """Tell the launcher what it needs, through a pipe that nobody else reads."""
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(needed).encode() + b"\n")
            process.stdin.flush()
        if self.tied:
            # The launcher notices when this end of the pipe is closed: by us, or by the kernel when we are gone.
            self._tie = process.stdin
        else:
            process.stdin.close()

    def _end(self, instance: Instance) -> None:
        if not instance.is_alive and self.running() is not None:
            raise WorkshopError(
                f"{self.lock_path} is locked, but not by the recorded process {instance.pid}.",
                "End the process that locks it.",
            )
        began = time.monotonic()
        while self.running() is not None:
            if instance.is_alive:
                # The whole group: the functions' worker processes go with it. There is nothing to save.
                _kill(instance.pid)
            if time.monotonic() - began > START_STOP_TIMEOUT:
                raise WorkshopError(f"The embedded AWS (process {instance.pid}) doesn't stop.", "End it by hand.")
            with contextlib.suppress(ChildProcessError):
                os.waitpid(instance.pid, os.WNOHANG)
            time.sleep(0.02)


def _free_port(preferred: int | None) -> int:
    """The port of the last life, so that URLs that somebody noted stay right; else any free one."""
    for port in (preferred, 0):
        if port is None:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError, OverflowError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise WorkshopError("There is no free port on 127.0.0.1.", "Close some programs and try again.")


def _keep_off_proxies() -> None:
    """A proxy of the user's would look for the loopback interface on its own machine."""
    for name in ("no_proxy", "NO_PROXY"):
        if LOOPBACK not in os.environ.get(name, ""):
            os.environ[name] = ",".join(filter(None, (os.environ.get(name), LOOPBACK)))


def _answers(instance: Instance) -> bool:
    try:
        return "services" in instance.get("/_ministack/health", timeout=5)
    except (OSError, ValueError):
        return False


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
