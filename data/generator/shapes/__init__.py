"""The shapes of questions, grouped by what their SQL does. Importing this package registers them all, in order."""

from __future__ import annotations

from data.generator.shapes import aggregates, groups, joins, rows, sets, subqueries
from data.generator.shapes.base import SHAPES, Draft, Shape

__all__ = ["SHAPES", "Draft", "Shape", "aggregates", "groups", "joins", "rows", "sets", "subqueries"]
