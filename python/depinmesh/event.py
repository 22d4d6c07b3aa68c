"""What was published on a topic."""

from depinmesh._core import Event

__all__ = ["Event"]
