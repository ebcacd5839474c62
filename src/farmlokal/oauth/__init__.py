"""Who is asking: clients of ours, the tokens we give them, and what those allow."""
