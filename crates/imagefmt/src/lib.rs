//! Image headers read without guessing; pure.
