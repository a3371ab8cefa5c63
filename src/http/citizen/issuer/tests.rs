//! Forged and honest tokens.
