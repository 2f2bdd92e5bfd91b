"""The operating system: processes, files, signals, environment variables, retries."""
