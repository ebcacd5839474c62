"""Who is asking: clients of ours, their tokens and what those allow; the token that we show (`upstream`)."""
