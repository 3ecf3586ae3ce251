"""Files of trained models, which outlive the process that made them and run no code when they are read.

In: a fitted estimator or a `Model`, or the path of a file. Out: a file, or the `Model`.
"""

from chainrule.io.files import write_atomically
from chainrule.io.model_file import load_model, save_model

__all__ = ["load_model", "save_model", "write_atomically"]
