//! What proves a plugin: gradient checks, identity, boundaries, determinism, oracle vectors.
