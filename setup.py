"""What pyproject.toml can't say: a wheel carries copies of the files that stand beside the package in the repository.

Steps are read and run as files, and `src/lambda/poc-lambda-1` can't be a package's name, so they travel as data. An
editable install copies nothing: it uses the files of the checkout.
https://setuptools.pypa.io/en/latest/userguide/extension.html
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

#: The files that the workshop reads while it runs, and those that it names in what it prints.
CARRIED = (
    "steps/*.py", "cleanup/*.py", "incidents/*.py", "src/lambda/*/index.py", "src/api/*",
    "infrastructure/cloudformation/*.yaml", "infrastructure/scripts/*", "notebooks/exercises/*.py",
)  # fmt: skip
#: Where they go in the wheel; `workshop.base.files` looks there.
FOLDER = "workshop/files"


class BuildWithFiles(build_py):
    """Builds the package, and copies the files into it."""

    def carried(self) -> list[Path]:
        """The files, as paths from the repository's root."""
        return sorted(path for pattern in CARRIED for path in Path().glob(pattern) if path.is_file())

    def copies(self) -> dict[str, str]:
        """Where each copy goes: `{copy: file}`."""
        return {str(Path(self.build_lib, FOLDER, path)): str(path) for path in self.carried()}

    def run(self) -> None:
        """Build the package; an editable install needs no copies."""
        super().run()
        if not self.editable_mode:
            # An earlier build may have left a file that the repository no longer has.
            shutil.rmtree(Path(self.build_lib, FOLDER), ignore_errors=True)
            for copy, path in self.copies().items():
                self.mkpath(str(Path(copy).parent))
                self.copy_file(path, copy)

    def get_source_files(self) -> list[str]:
        """The files that a source distribution needs."""
        return [*super().get_source_files(), *map(str, self.carried())]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """The files that a build writes."""
        return [*super().get_outputs(include_bytecode), *self.get_output_mapping()]

    def get_output_mapping(self) -> dict[str, str]:
        """Which file each output is a copy of."""
        return super().get_output_mapping() | ({} if self.editable_mode else self.copies())


setup(cmdclass={"build_py": BuildWithFiles})
