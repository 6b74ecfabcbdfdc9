"""From records to tables: Arrow tables, hints for dlt, and existing rows in the destination."""
