"""The course's data: databases, questions, and the generator that adds training questions."""
