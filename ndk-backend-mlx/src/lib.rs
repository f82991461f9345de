//! Real adapters through rdma-core, as a backend of `ndk-core`.

#[doc(hidden)]
pub mod mlx5;
#[doc(hidden)]
pub mod sys;
