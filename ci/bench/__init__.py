"""The command `course.py bench`: the course against others on one machine, each measurement in its own process."""
