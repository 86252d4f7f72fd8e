"""Trials in which processes of ours die or are replaced."""

import time

from .stage import Stage


def kill_workers(stage: Stage) -> None:
    """Workers are killed, one in every round; in one round gunicorn's master, and started again."""
    rounds = max(4, int(stage.seconds / 2))
    with stage.load():
        for turn in range(rounds):
            time.sleep(stage.seconds / rounds * stage.chance.uniform(0.5, 1.5))
            if turn == rounds // 2:
                stage.server.kill_master()
                stage.server.start()
            else:
                stage.server.kill_worker(stage.chance)
        time.sleep(1)
    stage.notes.append(f"{rounds - 1} workers and a master killed")


def restart(stage: Stage) -> None:
    """Workers are replaced by SIGHUP, and gunicorn is stopped and started, again and again."""
    rounds = max(1, int(stage.seconds / 4))
    with stage.load():
        for _ in range(rounds):
            time.sleep(0.5)
            stage.server.reload()
        unserved = {word: stage.ledger.count()[word] for word in ("refused", "lost")}
        # Who connects in the moment in which a full stop closes the door is sent away unread.
        stage.may_lose = rounds
        for _ in range(rounds):
            time.sleep(0.5)
            stage.server.stop()
            stage.server.start()
    stage.complaints += [f"{n} {word} during SIGHUP" for word, n in unserved.items() if n]
    stage.notes.append(f"{rounds} times SIGHUP, {rounds} times stopped and started")


def crash_while_spooling(stage: Stage) -> None:
    """Everything of ours is killed while the database is away, and started again, still without."""
    with stage.database.away():
        with stage.load():
            time.sleep(stage.seconds / 2)
            stage.server.kill_all()
            stage.server.start()
            time.sleep(stage.seconds / 2)
            stage.server.kill_all()
        stage.notes.append(f"{stage.spooled()} in the spool when all was dead")
    stage.server.start()
    stage.wait_until_drained()
