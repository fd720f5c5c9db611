"""What every notebook must keep, checked without executing anything. Each gate returns its faults as sentences.

`python -m ci.gates` prints the faults of all notebooks, `python -m ci.gates 03` those of one.
"""
