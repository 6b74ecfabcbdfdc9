"""One server of API v5: requests, pages, errors, pace. Knows HTTP and no table."""
