"""Planted mistakes: what a check would have caught."""
