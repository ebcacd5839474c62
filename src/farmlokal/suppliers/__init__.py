"""Where it comes from: those who supply what is for sale, and what stands in for them on one machine."""
