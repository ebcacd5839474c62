"""What was bought: events that marketplaces send, and the orders that they make."""
