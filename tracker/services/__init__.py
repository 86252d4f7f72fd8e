"""What happens: one module per use case. Services own the transactions."""
