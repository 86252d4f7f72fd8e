"""What we remember: tables, outbox, postbacks, queries. Takes a `Session` and never commits."""
