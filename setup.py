"""Builds what is C: the extension `_spawn`, the program `knarr`, programs for containers."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Extension, setup
from setuptools.command.build_py import build_py

BARE = ["-Os", "-static", "-nostdlib", "-ffreestanding", "-fno-tree-loop-distribute-patterns"]
BARE += ["-fno-stack-protector", "-fno-asynchronous-unwind-tables"]
PROGRAMS = ("images/hello", "containers/init")


class BuildPrograms(build_py):
    """Compile the programs that run in containers beside the modules: they use no C library."""

    def run(self) -> None:
        """Copy the modules, then compile each program if its source is there."""
        super().run()
        package = Path("src/knarr") if self.editable_mode else Path(self.build_lib, "knarr")
        compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
        for program in PROGRAMS:
            source = Path("src/knarr", f"{program}.c")
            if source.exists():
                target = package / program
                target.parent.mkdir(parents=True, exist_ok=True)
                subprocess.run([compiler, *BARE, "-o", target, source], check=True)


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
    cmdclass={"build_py": BuildPrograms, "build_scripts": BuildLauncher},
)
