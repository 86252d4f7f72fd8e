"""What a carrier usually does, in one sentence."""

from tracker.services.habits import FEWEST, Habit


def habit_words(habit: Habit) -> str:
    """Return what is known of a carrier, or how little."""
    if habit.share is None:
        return (
            f"Too little is known: {habit.messages} of the newest messages went there,"
            f" and it takes {FEWEST} to tell."
        )
    soon = "" if habit.seconds is None else f", half of them within {_duration(habit.seconds)}"
    return (
        f"{_per_cent(habit.share)} of messages to this carrier get a receipt{soon}"
        f" (of the newest {habit.messages:,})."
    )


def share_words(habit: Habit | None) -> str:
    """Return the share of messages with a receipt, for a column."""
    return "" if habit is None or habit.share is None else _per_cent(habit.share)


def time_words(habit: Habit | None) -> str:
    """Return the usual time to a receipt, for a column."""
    return "" if habit is None or habit.seconds is None else _duration(habit.seconds)


def _per_cent(share: float) -> str:
    """Return a share in whole per cent; all and none are said only when they are meant."""
    if 0 < share < 0.01:
        return "Less than 1 %"
    return f"{min(round(100 * share), 99 if share < 1 else 100)} %"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return "a second"
    for size, unit in ((172_800, "days"), (7_200, "hours"), (120, "minutes")):
        if seconds >= size:
            return f"{round(seconds / (size / 2))} {unit}"
    return f"{round(seconds)} s"
