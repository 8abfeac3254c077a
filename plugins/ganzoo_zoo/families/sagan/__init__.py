"""SAGAN: self-attention, and spectral normalisation of both networks."""
