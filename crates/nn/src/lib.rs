//! Spatial transformers, layers, architectures from a layer list, losses, optimisers, schedules and seeded initialisation.
