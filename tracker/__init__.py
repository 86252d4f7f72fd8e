"""Sends wallet passes by MMS through a gateway and tracks what became of every message."""

from importlib.metadata import version

__version__ = version("pass-delivery-tracker")
