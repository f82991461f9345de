//! The simulator backend.
