"""What a run looks like: videos, learning curves, progress bars. Nothing here needs a display."""
