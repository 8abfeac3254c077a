"""Computing: devices, memory limits, processors, seeds, compilation and the loss scale of fp16."""
