"""Where products come from besides files: other people's servers, in other people's formats."""
