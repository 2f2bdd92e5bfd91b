"""Render data as text, JSON, Markdown and HTML. Imports `domain` only."""
