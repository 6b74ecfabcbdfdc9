"""Tests of `pivotal_tracker.load`."""
