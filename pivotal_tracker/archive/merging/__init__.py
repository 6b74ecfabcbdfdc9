"""Putting together the parts and copies of records that one archive holds."""
