"""Why: what was computed is shown so that a person sees it: tables, pictures, derivations.

In: records, models, networks. Out: rich tables, matplotlib figures, text, Markdown, plain data.
"""
