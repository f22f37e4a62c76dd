"""Looking at networks and fits: summary, learning rates, pictures."""
