"""The dashboard: `streamlit run pivotal_tracker_dashboard.py`, `-- --pipeline NAME` for another.

Streamlit imports this file once, for the server, and runs it as a script for every page.
"""

from importlib import import_module
from threading import Thread

import streamlit as st

from tracker_dashboard.server import MIDDLEWARE, ROUTES

if __name__ == "__main__":
    from tracker_dashboard.app import main

    main()
else:
    app = st.App(__file__, routes=ROUTES, middleware=MIDDLEWARE)
    # so that nobody waits for the imports and the data on the first page
    Thread(target=lambda: import_module("tracker_dashboard.app").warm_up(), daemon=True).start()
