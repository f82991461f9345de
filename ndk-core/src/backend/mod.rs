//! Backends by name: a name such as `sim?seed=7` becomes an opened adapter.
//!
//! A program says which backends it knows, in a [`Registry`] of its own: there is no global one, so nothing depends
//! on what was linked in or on what ran first. [`Options`] is how a backend's factory reads the options of its name.
//!
//! ```
//! use ndk_core::backend::{BackendName, Options, Registry};
//! use ndk_core::{BoxedAdapter, Error, ErrorKind, Result};
//!
//! fn factory(name: &BackendName) -> Result<BoxedAdapter> {
//!     let mut options = Options::of(name);
//!     let _seed: Option<u64> = options.take("seed", "a number that fixes what is drawn at random")?;
//!     options.finish()?;
//!     Err(Error::new(ErrorKind::NotSupported, "an example has no device"))
//! }
//!
//! let backends = Registry::new()
//!     .with("example", "a backend without a device", factory)
//!     .without("card", "a network card", "this program was built without the feature `card`");
//!
//! let unknown = backends.adapter("exmaple").unwrap_err();
//! assert!(unknown.detail().contains("example: a backend without a device"));
//! let option = backends.adapter("example?sede=7").unwrap_err();
//! assert!(option.detail().contains("seed: a number that fixes what is drawn at random"));
//! ```

mod name;
mod options;
mod registry;

pub use name::BackendName;
pub use options::Options;
pub use registry::Registry;
