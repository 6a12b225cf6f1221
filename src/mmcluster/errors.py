"""What a person can put right: `str()` is one line with place and reason."""


class ClusterError(Exception):
    """A cluster that cannot be opened, or may not play: wrong address, missing library, other code."""

    user_error = True


class ClusterLostError(ClusterError):
    """The scheduler is gone, or every worker: what had finished was handed out before."""
