"""Tests of `pivotal_tracker.views`."""
