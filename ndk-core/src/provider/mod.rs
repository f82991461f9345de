//! What a vendor implements: the seven operations of a region, and the adapter that makes regions.

mod adapter;
mod dynamic;
mod dynamic_work;
mod region;
mod watch;
mod work;

pub use adapter::{AdapterProvider, Mapping, RegionKind};
pub use dynamic::{BoxedAdapter, BoxedPd, BoxedRegion, DynAdapterProvider, DynMrProvider};
pub use dynamic_work::{BoxedQueuePair, BoxedWindow};
pub use region::MrProvider;
pub use watch::{Event, Finding, Named, Party, Watch};
pub use work::{
    Endpoint, FastMemory, NoQueuePair, NoWindow, QpProvider, QueueDepths, RemoteAddress, Sge,
    WindowProvider, WorkCompletion, WorkId, WorkKind, WorkRequest,
};
