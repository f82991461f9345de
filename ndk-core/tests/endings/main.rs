//! How things end where something comes in between: a failure, a panic, a task given up, a peer, another thread.
//!
//! What another thread does in the middle of a call is done here by a hook inside the backend, so that it happens each
//! time, at the worst moment.
#![cfg(feature = "std")]

mod backend;
mod bench;
mod operation;

mod at_once;
mod closing;
mod invalidation;
mod keys;
mod limits;
mod memory;
mod moments;
mod now;
mod panics;
mod posting;
mod requests;
