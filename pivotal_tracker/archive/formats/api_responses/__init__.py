"""Responses of API v5 that someone saved: JSON, JSON lines, HAR, cassettes."""
