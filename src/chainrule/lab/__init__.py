"""The lab: a page in the browser that shows a training of this machine's engine while it runs.

`chainrule lab` starts it. The page is the documentation's playground; there the engine runs inside the page, here on a
server that answers one machine only.

In: rows, settings. Out: a server on 127.0.0.1 with a page; a run folder of what was trained.
"""
