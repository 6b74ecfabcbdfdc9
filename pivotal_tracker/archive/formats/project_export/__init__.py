"""Tracker's own project export: CSV or XLSX, with attachments and history."""
