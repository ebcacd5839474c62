"""How things are done, for any feature: nothing here knows what is for sale."""
