"""The toolkit of the orders workshop. The lessons are in `steps/` and `cleanup/`."""
