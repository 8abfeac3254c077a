"""The losses that come with ganzoo, computed from logits."""
