"""Who is asking: access tokens, ours for others (`upstream`)."""
