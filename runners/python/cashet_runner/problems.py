"""Errors and warnings: each has a name that programs can rely on, a text for people, and a place."""


class Problem(Exception):
    """Why a target cannot be described. @line and @column count from 1, in characters; 0 is unknown."""

    def __init__(self, name, message, file=None, line=0, column=0):
        super().__init__(message)
        self.name, self.message = name, message
        self.file, self.line, self.column = file, line, column

    def row(self):
        return row(self)


class Warning_:
    """What could not be followed, or counts otherwise than one might think; @subject is its name."""

    __slots__ = ("name", "subject", "message", "file", "line", "column")

    def __init__(self, name, subject, message, file=None, line=0, column=0):
        self.name, self.subject, self.message = name, subject, message
        self.file, self.line, self.column = file, line, column

    def row(self):
        return dict(row(self), subject=self.subject)


def row(problem):
    """As docs/runners.md shows it."""
    found = {"name": problem.name, "message": problem.message}
    if problem.file is not None:
        found["file"] = problem.file
    if problem.line:
        found["line"] = problem.line
        found["column"] = max(problem.column, 1)
    return found


def printable(name):
    """A file's name as it can stand in JSON, whatever its bytes are."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")
