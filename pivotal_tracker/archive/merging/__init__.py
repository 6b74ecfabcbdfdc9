"""Merge the parts and copies of records that one archive contains."""
