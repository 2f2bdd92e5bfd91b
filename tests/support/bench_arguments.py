"""Arguments of a bench: lists of numbers, in a fixed order, all with defaults."""

from __future__ import annotations

import argparse


def numbers(doc: str | None, **defaults: str) -> list[list[int]]:
    """Return the arguments of the command line; `--help` prints the bench's docstring.

    Args:
        doc: the bench's docstring.
        defaults: name -> numbers, separated by commas.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        parser.add_argument(name, nargs="?", type=_numbers, default=default, help=f"default: {default}")
    return list(vars(parser.parse_args()).values())


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]
