"""Plays the gateway over real HTTP; shares only `tracker.protocol` with us, so it can disagree."""
