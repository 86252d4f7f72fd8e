"""The OpenAPI document and its readable page; neither holds a secret, so neither asks who reads."""

import json
from typing import Any, Final

from flask import Blueprint, Flask, Response, current_app, render_template, request

from .api import document
from .presenting.api_docs import docs_view

_DOCUMENT: Final = "tracker.openapi"

bp = Blueprint("api_docs", __name__, url_prefix="/api")


@bp.get("/openapi.json")
def show_document() -> Response:
    """Return the document; whoever has it already is told that it is still the same."""
    text = json.dumps(the_document(), ensure_ascii=False, separators=(",", ":"))
    return _kept(Response(text, mimetype="application/json"))


@bp.get("/docs")
def show_docs() -> Response:
    """Show the document as a page, with an example call of each operation."""
    view = docs_view(the_document(), request.host_url.rstrip("/"))
    return Response(render_template("api_docs.html", docs=view))


def the_document() -> dict[str, Any]:
    """Return the document of the running application; its routes do not change."""
    app: Flask = current_app
    if _DOCUMENT not in app.extensions:
        app.extensions[_DOCUMENT] = document.build(app)
    return dict(app.extensions[_DOCUMENT])


def _kept(response: Response) -> Response:
    response.headers["Cache-Control"] = "public, max-age=0, must-revalidate"
    response.add_etag()
    response.make_conditional(request)
    return response
