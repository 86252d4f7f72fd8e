"""What is known of a handset, as people read it."""

from tracker.protocol.codes import postback_meaning
from tracker.store.handsets import HandsetRow

from .parts import Fact, known

_NAMED_BY = {"N102": "the receipt of a message", "N502": "the receipt of a discovery message"}


def handset_facts(row: HandsetRow) -> list[Fact]:
    """Return handset, who named it and when, and when it last saved a discovery message."""
    meaning = _NAMED_BY.get(row.source) or postback_meaning(row.source, "MMS_MT")
    return known(
        Fact("Handset", row.handset),
        Fact("System", row.os or ""),
        Fact("Seen", at=row.seen_at),
        Fact("Named by", f"{row.source}, {meaning}" if meaning else row.source),
        Fact("Last used", at=row.used_at) if row.used_at else Fact("Last used", "Never yet"),
    )
