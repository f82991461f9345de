//! Plans: read, printed, followed.

mod compact;
mod file;
mod follow;
mod round_trip;
