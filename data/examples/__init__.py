"""Small files of the kinds that people bring: `python -m data.examples` writes them."""
