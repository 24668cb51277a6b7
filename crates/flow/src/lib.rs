//! The journal engine: straight-line steps, each with its undo.
