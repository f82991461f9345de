//! NDK memory regions.
pub mod abi;
