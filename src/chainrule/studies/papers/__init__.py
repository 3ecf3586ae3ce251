"""What five papers found on MNIST, as studies whose answer may be no.

In: nothing. Out: the studies by name.
"""

from collections.abc import Mapping

from chainrule.studies.papers import accurate, glorot2010, he2015, ioffe2015, kingma2015, srivastava2014
from chainrule.studies.study import Study

_MODULES = (glorot2010, ioffe2015, srivastava2014, kingma2015, he2015, accurate)

PAPERS: Mapping[str, Study] = {module.STUDY.name: module.STUDY for module in _MODULES}
"""The papers' studies by name, in the order of their years, then the most accurate network."""

__all__ = ["PAPERS"]
