"""A C# compiler, where there is one: the program that `SYNCD_CSC` names compiles the `*.cs` files of a folder and runs them."""

from __future__ import annotations

import os
import shutil

from tests.support.requirements import need

VARIABLE = "SYNCD_CSC"


def csrun() -> str:
    """The program: `csrun FOLDER [ARGUMENT]...`; skips the test where there is none."""
    program = os.environ.get(VARIABLE, "")
    need("csc", bool(program) and shutil.which(program) is not None, f"{VARIABLE} names no C# compiler")
    return program
