"""Tests, through the doors that users use."""
