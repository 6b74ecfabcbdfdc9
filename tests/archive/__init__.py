"""Tests of `pivotal_tracker.archive`."""
