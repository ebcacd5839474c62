"""How to behave when something is slow, fails, or is asked for by everybody at once."""
