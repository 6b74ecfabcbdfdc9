"""The files that the project consists of, in a clone and in an unpacked sdist."""

from __future__ import annotations

import subprocess

from pathspec import GitIgnoreSpec

from .command import ROOT


def project_files() -> list[str]:
    """List the files that git knows or would add; without git, all that are not ignored."""
    if not (ROOT / ".git").exists():
        ignored = GitIgnoreSpec.from_lines((ROOT / ".gitignore").read_text().splitlines())
        files = [file.relative_to(ROOT).as_posix() for file in ROOT.rglob("*") if file.is_file()]
        return [name for name in files if not ignored.match_file(name) and name != "PKG-INFO"]
    line = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
