//! Data sets, distortions, seeded loaders, download, checksum and cache.
