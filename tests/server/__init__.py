"""Tests of `tracker_server`."""
