"""What we decided: messages and their rules, statuses, failures, reasons. Pure, like `protocol`."""
