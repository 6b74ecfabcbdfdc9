"""Tests of `pivotal_tracker.extract`."""
