"""Requests to a server of API v5: HTTP, pages, errors and the request rate, but no tables."""
