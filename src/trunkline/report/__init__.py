"""Data to text, JSON and Markdown: the only place that formats. Imports domain alone."""
