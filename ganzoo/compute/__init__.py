"""Computing: devices, memory limits, seeds, compilation and the loss scale of fp16."""
