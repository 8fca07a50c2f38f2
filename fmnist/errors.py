"""The one kind of error that is told in a line, without a traceback: something the user can change."""

from __future__ import annotations


class UserError(ValueError):
    """What a user gave cannot be used; the message says what was given, what was expected and what to do.

    Any other exception is a fault of the program and shows its traceback.
    """
