"""Tests of `tracker_dashboard`."""
