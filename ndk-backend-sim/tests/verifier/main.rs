//! The verifier over the simulator: small wrong programs that it must name, each beside a right one that it says nothing
//! about.

mod calls;
mod legal;
mod lengths;
mod lifetimes;
mod mappings;
mod memory;
mod policies;
mod providers;
mod requests;
mod tokens;
mod toy;
