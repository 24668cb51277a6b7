//! Glance v2: images, their bytes and their formats.
