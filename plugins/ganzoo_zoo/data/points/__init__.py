"""Points that are drawn from known distributions: mixtures of Gaussians, curves, and strokes."""
