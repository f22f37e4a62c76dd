"""Checks of what users pass in, and rows as the core takes them."""
