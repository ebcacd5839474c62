"""HTTP, for any feature: parameters in, bytes out, and every refusal as one problem document."""
