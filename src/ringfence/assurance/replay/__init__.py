"""The public journal: everything that the exchange was asked, without who asked; and its replay by a stranger.

| module | what is in it                                                                |
|--------|------------------------------------------------------------------------------|
| scrub  | what is taken out of commands before anybody sees them                       |
| file   | records, each chained to the one before; every changed byte has a place      |
| export | from a journal and its roots to a file                                       |
| verify | from a file to the same roots, or to the first thing that is not the same    |
"""

from ringfence.assurance.replay.export import Exported, ExportError, export
from ringfence.assurance.replay.file import FileError
from ringfence.assurance.replay.verify import Outcome, VerifyError, verify

__all__ = ["ExportError", "Exported", "FileError", "Outcome", "VerifyError", "export", "verify"]
