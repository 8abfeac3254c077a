"""Devices, memory, seeds, compilation and fp16's loss scale."""
