"""Tables, pictures and derivations of what was computed.

`series` computes what there is to see, once; `svg`, `matplotlib` and `terminal` draw it.

In: records, models, networks. Out: rich tables, matplotlib figures, text, Markdown, plain data.
"""
