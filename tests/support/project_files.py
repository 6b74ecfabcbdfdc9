"""The files that the project consists of, in a clone and in an unpacked sdist."""

from __future__ import annotations

import subprocess

from .command import ROOT


def project_files() -> list[str]:
    """The files that git knows or would add; without git, all files there are.

    An unpacked sdist contains nothing else, as long as nothing but its tests was run in it.
    """
    if not (ROOT / ".git").exists():
        return [
            file.relative_to(ROOT).as_posix()
            for file in ROOT.rglob("*")
            if file.is_file() and "__pycache__" not in file.parts and file.name != "PKG-INFO"
        ]
    line = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
