"""The corpus of traps: wrong answers that scanners give, each with the right one, its cases, and what else checks it.

`fixtures/traps` holds one file for each. In `tests`, `python -m traps` gives all of them to aks-audit, prints the
table, and ends with 1 where an answer is wrong.
"""
