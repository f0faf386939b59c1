"""Support for long-running programs: durable files, locks, signals, logging, free memory."""
