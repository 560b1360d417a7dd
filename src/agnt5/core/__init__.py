"""Pure machines: no clock, no chance, no input or output."""
