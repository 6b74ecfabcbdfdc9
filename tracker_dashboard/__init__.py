"""The dashboard in the browser: what was loaded, as Tracker showed it, and to search and read.

A page knows `session` (cached rows), `queries` (SQL), `text` (what came from outside, made safe)
and `charts`; only `data` knows dlt, and it knows nothing of the browser.
"""
