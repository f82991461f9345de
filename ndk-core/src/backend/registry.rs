//! Which backends a program knows.

use super::BackendName;
use crate::abi::NDK_VERSION;
use crate::adapter::Opened;
use crate::contain::contain;
use crate::error::{Error, ErrorKind, Result};
use crate::executor::Executor;
use crate::platform::Std;
use crate::provider::BoxedAdapter;
use crate::verifier::{Verifier, split_name};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

type Factory = Arc<dyn Fn(&BackendName) -> Result<BoxedAdapter> + Send + Sync>;

/// The backends that a program knows, each with its scheme, one line about it, and the factory of its adapters.
///
/// Before any name `verify+` puts the [verifier](crate::verifier) over the adapter, as in `verify+sim`.
///
/// It is a value: whoever opens by name has one, and a clone is cheap. `Display` lists the backends, one a line.
#[derive(Clone, Default)]
pub struct Registry {
    backends: Vec<Backend>,
    verifier: Option<Verifier>,
}

#[derive(Clone)]
struct Backend {
    scheme: &'static str,
    description: &'static str,
    /// How to make an adapter, or why this program cannot.
    factory: core::result::Result<Factory, String>,
}

impl Registry {
    /// A registry without backends.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a backend. `description` is one line without a full stop. It takes the place of an earlier backend of
    /// that scheme.
    ///
    /// `factory` gets the whole name, and reads its options by [`Options`](super::Options). It may block, and it
    /// may be called from several threads at once.
    #[must_use]
    pub fn with(
        self,
        scheme: &'static str,
        description: &'static str,
        factory: impl Fn(&BackendName) -> Result<BoxedAdapter> + Send + Sync + 'static,
    ) -> Self {
        self.put(Backend { scheme, description, factory: Ok(Arc::new(factory)) })
    }

    /// Adds a backend that this program has not got, so that who asks for it is told why: a feature left out of
    /// the build, a library that did not load.
    #[must_use]
    pub fn without(
        self,
        scheme: &'static str,
        description: &'static str,
        reason: impl Into<String>,
    ) -> Self {
        self.put(Backend { scheme, description, factory: Err(reason.into()) })
    }

    /// The verifier of every adapter that is opened by a name with `verify+`, so that a program can read what it finds;
    /// what a name says of its own holds for that adapter. Without this each has a verifier to itself.
    #[must_use]
    pub fn verifier(self, verifier: Verifier) -> Self {
        Self { verifier: Some(verifier), ..self }
    }

    fn put(mut self, backend: Backend) -> Self {
        debug_assert!(BackendName::is_scheme(backend.scheme), "no name spells {}", backend.scheme);
        match self.backends.iter_mut().find(|known| known.scheme == backend.scheme) {
            Some(known) => *known = backend,
            None => self.backends.push(backend),
        }
        self
    }

    /// The schemes of the backends that can be opened, in the order in which they were added.
    pub fn schemes(&self) -> impl Iterator<Item = &'static str> {
        self.backends.iter().filter(|known| known.factory.is_ok()).map(|known| known.scheme)
    }

    /// Makes the adapter of that name, not yet opened.
    ///
    /// # Errors
    /// INVALID_PARAMETER for a text that is no name, and for options that the backend does not take; NOT_SUPPORTED
    /// for a scheme that is not here; INTERNAL_ERROR where the factory panics; and what the backend gives. Unless
    /// the name is at fault, the error lists the backends that there are.
    pub fn adapter(&self, name: &str) -> Result<BoxedAdapter> {
        self.make(name).inspect_err(|error| log::warn!("backend {name:?}: open refused: {error}"))
    }

    fn make(&self, name: &str) -> Result<BoxedAdapter> {
        let base = self.verifier.clone().unwrap_or_default();
        match split_name(name, &base)? {
            Some((verifier, below)) => {
                Ok(BoxedAdapter::new(verifier.verify(self.make_plain(below)?)))
            }
            None => self.make_plain(name),
        }
    }

    fn make_plain(&self, name: &str) -> Result<BoxedAdapter> {
        let name: BackendName = name.parse()?;
        let Some(backend) = self.backends.iter().find(|known| known.scheme == name.scheme()) else {
            return Err(self.refuse(format!("there is no backend {:?}", name.scheme())));
        };
        let factory = match &backend.factory {
            Ok(factory) => factory,
            Err(reason) => {
                let cause = format!("the backend {} is not available: {reason}", backend.scheme);
                return Err(self.refuse(cause));
            }
        };
        let made = contain("a backend's factory", &name, || factory(&name)).unwrap_or_else(|_| {
            let cause = "its factory panicked; the log has what it said";
            Err(Error::new(ErrorKind::Internal, cause).rule("B8"))
        });
        made.map_err(|error| match error.kind() {
            ErrorKind::InvalidParameter => error,
            kind => {
                let cause = format!(
                    "the backend {} did not open {name}: {}",
                    name.scheme(),
                    error.detail()
                );
                Error::new(kind, cause + &self.listing()).rule(error.rule_id())
            }
        })
    }

    /// Opens the adapter of that name for a version of NDK, as [`Opened::new`] does; `executor` runs what pends.
    ///
    /// # Errors
    /// As for [`adapter`](Self::adapter) and [`Opened::new`].
    pub fn open(
        &self,
        name: &str,
        executor: Arc<dyn Executor>,
        version: NDK_VERSION,
    ) -> Result<Opened<BoxedAdapter, Std>> {
        Opened::new(self.adapter(name)?, executor, version)
    }

    fn refuse(&self, cause: String) -> Error {
        Error::new(ErrorKind::NotSupported, cause + &self.listing())
    }

    fn listing(&self) -> String {
        if self.backends.is_empty() {
            return "; this program knows no backends".into();
        }
        format!("; the backends are:\n{self}")
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, backend) in self.backends.iter().enumerate() {
            let end_of_last = if index == 0 { "" } else { "\n" };
            write!(f, "{end_of_last}  {}: {}", backend.scheme, backend.description)?;
            if let Err(reason) = &backend.factory {
                write!(f, " (not available: {reason})")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backends = self.backends.iter().map(|known| (known.scheme, known.factory.is_ok()));
        f.debug_map().entries(backends).finish()
    }
}
