"""Tests of `pivotal_tracker.cli`."""
