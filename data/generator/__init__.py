"""Writes training questions with their SQL from the databases and the words in their YAML files.

Run `python -m data.generator` from the project's root; `--list` shows every shape of question with an example.
"""
