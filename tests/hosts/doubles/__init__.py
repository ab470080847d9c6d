"""Stand-ins for software that cannot be had on every machine. Each says of itself that it is a double."""
