"""Builds what is C: the `_spawn` extension, the program `knarr`, the image `hello`."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Extension, setup
from setuptools.command.build_py import build_py

HELLO = ["-Os", "-static", "-nostdlib", "-fno-stack-protector", "-fno-asynchronous-unwind-tables"]


class BuildHello(build_py):
    """Compile the one program of the embedded image beside the modules."""

    def run(self) -> None:
        """Copy the modules, then compile the program if its source is there."""
        super().run()
        source = Path("src/knarr/images/hello.c")
        if not source.exists():
            return
        package = (
            Path("src/knarr/images") if self.editable_mode else Path(self.build_lib, "knarr/images")
        )
        package.mkdir(parents=True, exist_ok=True)
        compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
        subprocess.run([compiler, *HELLO, "-o", package / "hello", source], check=True)


class BuildLauncher(Command):
    """Compile the program `knarr` as the package's script (see its source for why it is C)."""

    description = "compile the program knarr"
    user_options: ClassVar = [("build-dir=", "d", "folder"), ("force", "f", "always compile")]
    boolean_options: ClassVar = ["force"]
    source = Path("src/knarr/cli/launcher.c")

    def initialize_options(self) -> None:
        """Start without options."""
        self.build_dir: str | None = None
        self.force: bool | None = None
        self.editable_mode = False

    def finalize_options(self) -> None:
        """Build where the other commands look for scripts."""
        self.set_undefined_options("build", ("build_scripts", "build_dir"), ("force", "force"))

    def get_source_files(self) -> list[str]:
        """What a source distribution needs."""
        return [str(self.source)]

    def run(self) -> None:
        """Compile, with the places where an installation has the interpreter and the package."""
        assert self.build_dir is not None
        folder = Path(self.build_dir)
        folder.mkdir(parents=True, exist_ok=True)
        places = {
            "INTERPRETER_NAME": f"python{sys.version_info[0]}.{sys.version_info[1]}",
            "INTERPRETER_PATH": sys.executable,
            "PACKAGE_PATH": os.path.relpath(
                sysconfig.get_path("platlib"), sysconfig.get_path("scripts")
            ),
            "SOURCE_PATH": str(Path("src").absolute()) if self.editable_mode else "",
        }
        options = [f'-D{name}="{place}"' for name, place in places.items()]
        compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
        command = [compiler, "-O2", "-Wall", "-Wextra", *options, "-o", folder / "knarr"]
        subprocess.run([*command, self.source], check=True)


setup(
    scripts=[str(BuildLauncher.source)],
    ext_modules=[
        Extension(
            "knarr._spawn",
            sources=["src/knarr/_spawn.c"],
            extra_compile_args=["-O2", "-Wall", "-Wextra", "-Werror=implicit-function-declaration"],
        )
    ],
    cmdclass={"build_py": BuildHello, "build_scripts": BuildLauncher},
)
