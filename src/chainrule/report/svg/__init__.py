"""Plots as SVG: pictures that stay sharp, follow the reader's light or dark scheme, and can be read by a screen reader.

In: plots as data, tables of numbers. Out: `<figure>` elements for a page, SVG files that stand alone.
"""

from chainrule.report.svg.charts import document, figure, sheet
from chainrule.report.svg.fields import heatmap, matrix, units

__all__ = ["document", "figure", "heatmap", "matrix", "sheet", "units"]
