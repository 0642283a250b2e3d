"""The soak: many random cores and sequences in Verilator, every value against golden."""
