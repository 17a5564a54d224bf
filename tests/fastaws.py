"""The AWS CLI without its start: a process that has it loaded forks for each command.

A script of a hundred commands would spend a minute on importing botocore. `serve` runs the real command line, with the
caller's arguments, environment, folder and files; `aws` in the folder that `install` makes is a small client.

The client can also play a machine that goes down: with KILL_AFTER it kills its process group after so many changes were
carried out, before anybody hears of it.
"""

import contextlib
import functools
import gc
import json
import os
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

CLIENT = """#!{python} -IS
import json, os, re, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    what = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(server, [len(what).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(what)
    code = server.recv(1)
words = [word for word in sys.argv[1:] if not word.startswith("-")]
changes = not any(re.match("(get|list|describe)-|wait$", word) for word in words)
if "KILL_AFTER" in os.environ and changes and code == b"\\0":
    with open(os.environ["KILL_COUNT"], "a+b") as counted:
        counted.write(b".")
        counted.flush()
        if counted.tell() >= int(os.environ["KILL_AFTER"]):
            os.killpg(0, signal.SIGKILL)
sys.exit(code[0] if code else 255)
"""


def serve(address: str) -> None:
    """Fork for whoever connects; ends with the process that started this one."""
    import awscli.botocore.loaders  # the point of it
    import awscli.clidriver

    loader = awscli.botocore.loaders.JSONFileLoader
    loader.load_file = staticmethod(functools.cache(loader().load_file))
    for service in ("iam", "sqs", "sns", "dynamodb", "lambda", "logs", "apigateway", "sts"):
        session = awscli.clidriver.create_clidriver().session
        session.create_client(service, "us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    gc.collect()
    gc.freeze()
    parent = os.getppid()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(16)
        listener.settimeout(1)
        while os.getppid() == parent:
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                if os.fork() == 0:
                    _run(connection)
                connection.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _run(connection: socket.socket) -> None:
    """Be the command."""
    import awscli.clidriver

    connection.setblocking(True)
    length, files, _, _ = socket.recv_fds(connection, 4, 3)
    wanted, content = int.from_bytes(length, "big"), b""
    while len(content) < wanted:
        content += connection.recv(wanted - len(content))
    arguments, environment, folder = json.loads(content)
    for number, file in enumerate(files):
        os.dup2(file, number)
    # Where it finds its own data; its import has said so.
    os.environ.update(environment | {"AWS_DATA_PATH": os.environ["AWS_DATA_PATH"]})
    for name in os.environ.keys() - environment.keys() - {"AWS_DATA_PATH"}:
        del os.environ[name]
    os.chdir(folder)
    sys.argv = ["aws", *arguments]
    code = 255
    try:
        code = awscli.clidriver.main()
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        connection.sendall(bytes([code]))
        os._exit(0)


@contextlib.contextmanager
def install(folder: Path) -> Iterator[Path]:
    """Put `aws` into a folder, which is given back for the front of PATH."""
    folder.mkdir()
    address = folder / "socket"
    (folder / "aws").write_text(CLIENT.format(python=sys.executable, address=str(address)))
    (folder / "aws").chmod(0o755)
    with subprocess.Popen([sys.executable, __file__, str(address)]) as server:
        try:
            end = time.monotonic() + 60
            while not address.exists() and time.monotonic() < end and server.poll() is None:
                time.sleep(0.02)
            yield folder
        finally:
            server.terminate()


if __name__ == "__main__":
    serve(sys.argv[1])
