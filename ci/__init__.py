"""What builds, runs and checks the course."""
