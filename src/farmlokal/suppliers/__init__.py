"""Where it comes from: other people's servers, in their formats, and what stands in for them here."""
