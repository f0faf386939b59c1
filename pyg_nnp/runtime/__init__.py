"""What any program that runs for long needs: durable files, signals, logs, the memory that is free."""
