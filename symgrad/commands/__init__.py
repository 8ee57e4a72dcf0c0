"""What the commands do: one function for each, from the parsed arguments to the exit status."""
