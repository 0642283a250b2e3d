"""The study: what the paper says of its networks, trained, measured on cores and reported."""
