"""What a solver that is not finite says when it stops at its cap."""

__all__ = ["ConvergenceWarning"]


class ConvergenceWarning(UserWarning):
    """A solver returned its best point without reaching its tolerance; ``certify`` says how good that point is.

    Notes
    -----
    Its message names the worst row and its residual. Raises nothing. Source: regmax.
    """
