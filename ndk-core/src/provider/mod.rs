//! What a vendor implements: the seven operations of a region, and the adapter that makes regions.

mod adapter;
mod dynamic;
mod region;

pub use adapter::{AdapterProvider, Mapping, RegionKind};
pub use dynamic::{BoxedAdapter, BoxedPd, BoxedRegion, DynAdapterProvider, DynMrProvider};
pub use region::MrProvider;
