//! The simulator backend.

#[doc(hidden)]
pub mod copy;
#[doc(hidden)]
pub mod token;
