"""The gateway's protocol, as its documents state it: pure functions, no I/O and no clock."""
