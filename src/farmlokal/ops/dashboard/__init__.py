"""`/ops`: the live dashboard for whoever runs the shop."""
