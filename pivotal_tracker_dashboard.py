"""The dashboard: `streamlit run pivotal_tracker_dashboard.py`, `-- --pipeline NAME` for another."""

from tracker_dashboard.app import main

main()
