"""The toolkit of the orders workshop. The lessons are in `steps/` and `cleanup/`."""

import importlib.util
import sys

# State files are locked with fcntl, which Windows doesn't have. Every way to start the workshop imports this first.
if importlib.util.find_spec("fcntl") is None:
    sys.exit("Error: The workshop runs on Linux, macOS and WSL 2, but not directly on Windows. Try: wsl --install")
