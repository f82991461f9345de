//! The simulator's time.

mod manual;
mod real;
mod wakes;
