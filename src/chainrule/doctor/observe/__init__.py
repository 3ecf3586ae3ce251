"""Look inside a training: readings of layers, single steps, snapshots."""
