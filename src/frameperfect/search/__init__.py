"""What finds runs. Every search gives a movie that replays."""

from frameperfect.search.brute import BruteResult, brute

__all__ = ["BruteResult", "brute"]
