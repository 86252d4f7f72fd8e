"""Saved views as links above the list."""

from collections.abc import Iterable
from dataclasses import dataclass

from tracker.store.saved_views import SavedViewRow

from .question import Question
from .sight import WHOLE, Sight


@dataclass(frozen=True, slots=True)
class ViewLink:
    """One view; `owner` is who shares it, when it is somebody else's."""

    id: int
    name: str
    url: str
    asks: str
    is_current: bool
    is_shared: bool
    owner: str | None


def view_links(
    views: Iterable[SavedViewRow],
    shown: Question | None,
    user_id: int | None,
    sight: Sight = WHOLE,
) -> list[ViewLink]:
    """Return views as a person sees them; the one that is `shown` is marked.

    One of somebody else's whose address has a number is left out for who may not see it.
    """
    return [
        ViewLink(
            id=view.id,
            name=view.name if view.user_id == user_id else sight.free(view.name),
            url=question.url(),
            asks=question.said(),
            is_current=question == shown,
            is_shared=view.is_shared,
            owner=None if view.user_id == user_id else view.owner,
        )
        for view in views
        for question in (Question.from_asked(view.asked),)
        if view.user_id == user_id or sight.free(question.said()) == question.said()
    ]
