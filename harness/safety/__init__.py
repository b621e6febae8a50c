"""Safety: interlocks that watch the whole run, and making the rack safe."""
