"""Start `workshop` and `aws` without waiting for their imports.

Importing boto3 and reading AWS's models takes a second of processor time, most of what a short command needs. `serve`
runs in a process that has all of it loaded. For each request it forks a process that becomes the command: with the
caller's arguments, environment, folder, standard streams and exit code, and with memory that nobody else sees.
"""

import functools
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

#: The services whose models the workshop reads.
SERVICES = (
    "apigateway", "cloudformation", "dynamodb", "dynamodbstreams", "iam", "lambda", "logs", "resourcegroupstaggingapi",
    "sns", "sqs", "sts",
)  # fmt: skip
#: Seconds that a server may take to load everything, on a busy machine.
LOADING = 60
#: The length of a number on the wire, in bytes.
NUMBER = 4


class Server:
    """A process that has a program loaded, for as long as this process lives.

    Args:
        program: `workshop` or `aws`.
        folder: where its socket goes.
    """

    def __init__(self, program: str, folder: Path) -> None:
        self.address = str(folder / f"{program}.socket")
        self.process = subprocess.Popen(
            [sys.executable, __file__, program, self.address], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    def wait(self) -> None:
        """Wait until it listens."""
        end = time.monotonic() + LOADING
        while not os.path.exists(self.address):
            assert self.process.poll() is None, "the server ended while it was loading"
            assert time.monotonic() < end, f"the server was not ready within {LOADING} seconds"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it; commands that run go on."""
        self.process.terminate()
        self.process.wait()

    def run(
        self, command: list[str], env: dict[str, str], cwd: str | Path, stdin: int | IO[Any], timeout: float
    ) -> tuple[int, bytes, bytes]:
        """Run a command to its end, as `subprocess.run` does.

        Args:
            command: the path of the program, and its arguments.
            env: its whole environment.
            cwd: the folder it runs in.
            stdin: an open file, or `subprocess.DEVNULL`.
            timeout: seconds.

        Returns:
            The exit code (negative: the signal that killed it), standard output and standard error.

        Raises:
            TimeoutExpired: it took longer, and was killed.
        """
        out, err = os.pipe(), os.pipe()
        with socket.socket(socket.AF_UNIX) as connection, open(os.devnull) as nothing:
            try:
                connection.connect(self.address)
                given = nothing if stdin == subprocess.DEVNULL else stdin
                files = [given if isinstance(given, int) else given.fileno(), out[1], err[1]]
                request(connection, command, env, cwd, files)
            finally:
                os.close(out[1])
                os.close(err[1])
            pid = receive_number(connection)
            try:
                said = _read_all([out[0], err[0]], time.monotonic() + timeout)
                connection.settimeout(timeout)
                return receive_number(connection), *said
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(command, timeout) from None
            finally:
                os.close(out[0])
                os.close(err[0])


def _read_all(files: list[int], end: float) -> list[bytes]:
    """Read files until nobody writes to them any more."""
    said = dict.fromkeys(files, b"")
    with selectors.DefaultSelector() as selector:
        for file in files:
            selector.register(file, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0, end - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                chunk = os.read(key.fd, 65536)
                said[key.fd] += chunk
                if not chunk:
                    selector.unregister(key.fd)
    return [said[file] for file in files]


def request(
    connection: socket.socket, command: list[str], env: dict[str, str], cwd: str | Path, files: list[int]
) -> None:
    """Ask a server for a command."""
    content = json.dumps([command, env, str(cwd)]).encode()
    socket.send_fds(connection, [len(content).to_bytes(NUMBER, "big")], files)
    connection.sendall(content)


def receive_number(connection: socket.socket) -> int:
    """Receive one number."""
    return int.from_bytes(_receive(connection, NUMBER), "big", signed=True)


def _receive(connection: socket.socket, length: int) -> bytes:
    content = b""
    while len(content) < length:
        part = connection.recv(length - len(content))
        assert part, "the connection broke"
        content += part
    return content


# What runs in the server.


def load_aws() -> Callable[[list[str]], None]:
    """Load the AWS CLI."""
    import awscli.botocore.loaders
    import awscli.clidriver

    loader = awscli.botocore.loaders.JSONFileLoader
    loader.load_file = staticmethod(functools.cache(loader().load_file))
    for service in ("iam", "sqs", "sns", "dynamodb", "lambda", "logs", "apigateway", "sts"):
        session = awscli.clidriver.create_clidriver().session
        session.create_client(service, "us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    # Where it finds its own data; its import has said so.
    data_path = os.environ["AWS_DATA_PATH"]

    def run(command: list[str]) -> None:
        os.environ["AWS_DATA_PATH"] = data_path
        sys.argv = ["aws", *command[1:]]
        sys.exit(awscli.clidriver.main())

    return run


def share_models() -> None:
    """Let all sessions of this process read AWS's models once; otherwise each would read them from the disk again."""
    import botocore.session

    botocore.session.create_loader = functools.cache(botocore.session.create_loader)


def load_workshop() -> Callable[[list[str]], None]:
    """Load the workshop, and read the models of the services that it calls."""
    import boto3

    import workshop.__main__
    import workshop.build.opening
    import workshop.cli

    share_models()
    session = boto3.Session("none", "none", region_name="us-east-1")
    for service in SERVICES:
        session.client(service)
    # What Typer imports when it parses options, and when it prints help.
    for words in (["cost"], ["cost", "--help"]):
        workshop.cli.commands().main(words, standalone_mode=False)

    def run(command: list[str]) -> None:
        sys.argv = command
        sys.path.insert(0, os.path.dirname(command[0]))
        if command[0].endswith(".py"):
            # A step's file runs the package as a program, which must not look as if it were loaded already.
            sys.modules.pop("workshop.__main__", None)
            runpy.run_path(command[0], run_name="__main__")
        else:
            workshop.__main__.main()

    return run


def serve(program: str, address: str) -> None:
    """Fork for whoever connects; ends with the process that started this one."""
    run = {"aws": load_aws, "workshop": load_workshop}[program]()
    gc.collect()
    gc.freeze()
    parent = os.getppid()
    with socket.socket(socket.AF_UNIX) as listener:
        # Whoever sees the name may connect.
        listener.bind(f"{address}.new")
        listener.listen(16)
        os.rename(f"{address}.new", address)
        listener.settimeout(1)
        while os.getppid() == parent:
            _reap()
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            if os.fork() == 0:
                listener.close()
                _attend(connection, run)
                return
            connection.close()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _attend(connection: socket.socket, run: Callable[[list[str]], None]) -> None:
    """Start the command that is asked for, and say how it ended."""
    connection.setblocking(True)
    length, files, _, _ = socket.recv_fds(connection, NUMBER, 3)
    command, environment, folder = json.loads(_receive(connection, int.from_bytes(length, "big")))
    pid = os.fork()
    if pid == 0:
        connection.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
        os.chdir(folder)
        # From here on it is the command, and ends as one.
        run(command)
        return
    for file in files:
        os.close(file)
    connection.sendall(pid.to_bytes(NUMBER, "big"))
    _, status = os.waitpid(pid, 0)
    connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(NUMBER, "big", signed=True))
    os._exit(0)


if __name__ == "__main__":
    serve(*sys.argv[1:])
