//! What a vendor hands to the kit.

use super::run;
use super::session::{Factories, Factory};
use crate::error::Result;
use crate::provider::AdapterProvider;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

/// A backend to be tested: how its adapter is made, and what else the kit cannot find out by itself.
///
/// ```no_run
/// # fn open() -> ndk_core::Result<ndk_core::BoxedAdapter> { unimplemented!() }
/// fn main() -> std::process::ExitCode {
///     ndk_core::conformance::Kit::new(open).main()
/// }
/// ```
pub struct Kit<A> {
    open: Factory<A>,
    small: Option<(usize, Factory<A>)>,
}

impl<A: AdapterProvider> Kit<A> {
    /// A kit for the adapters that `open` makes. Every case opens one of its own, several at a time.
    pub fn new(open: impl Fn() -> Result<A> + Send + Sync + 'static) -> Self {
        Self { open: Arc::new(open), small: None }
    }

    /// Adds an adapter that has room for `limit` regions only, for the cases about the limit (C14).
    pub fn region_limit(
        self,
        limit: usize,
        open: impl Fn() -> Result<A> + Send + Sync + 'static,
    ) -> Self {
        Self { small: Some((limit, Arc::new(open))), ..self }
    }

    /// Runs what the command line asks for, as the standard test harness does: a filter, `--list`, `--exact`,
    /// `--skip`, `--test-threads`. Gives the exit status.
    ///
    /// A backend whose factory fails is a failure, not a skip.
    pub fn main(self) -> ExitCode {
        run::main(Arc::new(Factories { open: self.open, small: self.small }))
    }
}

impl<A> fmt::Debug for Kit<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.small.as_ref().map(|&(limit, _)| limit);
        f.debug_struct("Kit").field("region_limit", &limit).finish_non_exhaustive()
    }
}
