"""What a command raises when the user must change something."""

__all__ = ["CommandError"]


class CommandError(Exception):
    """One sentence for the user: what is wrong and what to do. ``main`` prints it and exits with code 2."""
