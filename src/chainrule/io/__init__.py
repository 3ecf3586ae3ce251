"""Why: trained models outlive the process that made them, in files that run no code when they are read.

In: a `Model`, or the path of a file. Out: a file, or the `Model`.
"""

from chainrule.io.files import write_atomically
from chainrule.io.model_file import load_model, save_model

__all__ = ["load_model", "save_model", "write_atomically"]
