"""Tests that run on every system: without fork, make or a POSIX shell."""
