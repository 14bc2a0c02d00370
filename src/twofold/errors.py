"""Everything that twofold raises on purpose.

    TwofoldError
    |-- InputError (also a ValueError)   what was given cannot be used; exit code 2
    |   |-- DataError                    a file, column, row or value
    |   |-- SettingError                 a field of an estimator, a flag of a command
    |   `-- RunError                     a run folder: absent, locked, spoilt, of another kind
    |-- DivergedError                    training kept producing non-finite numbers; exit code 1
    `-- DiskFullError (also an OSError)  no room to write; exit code 3

A message says what was given, what is allowed, and what to do.
"""

__all__ = ["DataError", "DiskFullError", "DivergedError", "InputError", "RunError", "SettingError", "TwofoldError"]


class TwofoldError(Exception):
    """The root: catch this to catch all of ours."""


class InputError(TwofoldError, ValueError):
    """What was given cannot be used."""


class DataError(InputError):
    """A file, column, row or value cannot be used."""


class SettingError(InputError):
    """A field of an estimator, or a flag of a command, has a value that is not allowed."""


class RunError(InputError):
    """A run folder is absent, locked by another process, spoilt, or of another method."""


class DivergedError(TwofoldError):
    """Training kept producing non-finite numbers after every remedy."""


class DiskFullError(TwofoldError, OSError):
    """There is no room to write; nothing that was there before is lost."""
