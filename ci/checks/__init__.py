"""Checks of what the course ships, to be run before every change of its data."""
