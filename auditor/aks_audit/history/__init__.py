"""Score and findings over time: what the reports of a store's runs say, one after the other.

`reports` takes out of each report what is asked, `database` asks DuckDB over all of them, `model` is the answer, and
`text` and `page` show it.
"""
