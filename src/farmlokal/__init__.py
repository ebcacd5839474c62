"""FarmLokal: the backend of a marketplace that joins households with the farmers near them."""
