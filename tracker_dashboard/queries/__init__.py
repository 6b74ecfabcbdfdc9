"""The SQL of the dashboard, in DuckDB's dialect: one function per question, which returns a query.

Values become literals of the syntax tree, never text, so that dlt can write them in the dialect of
the destination. Columns are named one by one, with their table or view.
"""
