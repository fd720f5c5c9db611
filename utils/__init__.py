"""Shared helpers of the course: what a notebook needs but should not be about."""
