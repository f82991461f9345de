//! Fast registration on NVIDIA's adapters from ConnectX-4 on, whose driver is mlx5.
//!
//! A region made for fast registration is an *indirect* memory key: one that leads to bytes of other registrations. A
//! fast registration is one entry of the send queue, written here ([`umr`]) and posted as bytes ([`queue`]), since
//! libmlx5's own function for it makes keys that begin at address 0 and does not ask whether the key is free. An
//! invalidation is the request that libibverbs has for it, `IBV_WR_LOCAL_INV`. What an entry leads to are the
//! registrations of the mapping that the pages are of.
//!
//! No adapter has run this. What is checked without one, and what is not, is in `docs/mlx5.md`.

pub(crate) mod indirect;
pub(crate) mod limits;
pub(crate) mod queue;
mod runs;
mod umr;
