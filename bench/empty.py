"""The yardstick of all web work: a Flask view that does nothing."""

from flask import Flask

app = Flask("empty")


@app.post("/")
def view() -> str:
    """Answer 200 and keep nothing."""
    return ""
