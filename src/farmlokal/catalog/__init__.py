"""What is for sale: products, their sellers, their prices, and the ways to find them."""
