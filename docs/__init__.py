"""The pages, and the commands that write what is generated in them."""
