"""The pages of the shop: plain HTML that works alone, and a small script that makes it quicker."""
