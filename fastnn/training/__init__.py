"""A fit: its plan, its rows, its epochs, evaluation, and what holds them together."""
