//! What a vendor hands to the kit.

use super::run;
use super::session::{Factory, Layered, Opener};
use super::tables::{TableProvider, Tables};
use crate::abi::NDK_ADAPTER;
use crate::capabilities::Capabilities;
use crate::error::Result;
use crate::provider::AdapterProvider;
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The longest wait for a callback that must come, unless the kit is told another.
const LIMIT: Duration = Duration::from_secs(30);

/// A backend to be tested: how its adapter is made, and what else the kit cannot find out by itself.
///
/// Whatever an adapter's limits are, the cases take it that there is room for 16 regions at a time and for registrations of
/// 32 KiB.
///
/// ```no_run
/// # fn open() -> ndk_core::Result<ndk_core::BoxedAdapter> { unimplemented!() }
/// fn main() -> std::process::ExitCode {
///     ndk_core::conformance::Kit::new(open).main()
/// }
/// ```
pub struct Kit {
    pub(super) name: String,
    pub(super) opener: Arc<dyn Opener>,
    /// Makes what the first's queue pairs can be connected to.
    pub(super) peer: Option<Arc<dyn Opener>>,
    pub(super) small: Option<(usize, Arc<dyn Opener>)>,
    /// As `small`, with room for so many pinned pages.
    pub(super) tight: Option<(usize, Arc<dyn Opener>)>,
    pub(super) defects: Vec<Defect>,
    /// The rules that are tried; `None` for every one.
    pub(super) only: Option<&'static [&'static str]>,
    pub(super) mappings_pend: bool,
    pub(super) patience: Duration,
}

/// A case that a device is known to fail.
pub(super) struct Defect {
    pub(super) rule: &'static str,
    pub(super) case: &'static str,
    pub(super) reason: &'static str,
}

impl Kit {
    /// A kit for the adapters that `open` makes. Every case opens one of its own, several at a time.
    pub fn new<A: AdapterProvider>(open: impl Fn() -> Result<A> + Send + Sync + 'static) -> Self {
        Self {
            name: String::new(),
            opener: Arc::new(Factory(open)),
            peer: None,
            small: None,
            tight: None,
            defects: Vec::new(),
            only: None,
            mappings_pend: false,
            patience: LIMIT,
        }
    }

    /// As [`new`](Self::new), with a second adapter of the same kind for each case about access: queue pairs of the two
    /// can be connected to each other. `peer` opens another port or device; for one that reaches itself through
    /// adapters opened twice it is the same as `open`.
    ///
    /// What an access may reach is then tried in loopback, and between the two as well; everything about access is
    /// tried between the two where the adapter cannot be connected to itself.
    ///
    /// ```no_run
    /// # fn open(port: u8) -> ndk_core::Result<ndk_core::BoxedAdapter> { unimplemented!() }
    /// fn main() -> std::process::ExitCode {
    ///     ndk_core::conformance::Kit::pair(|| open(1), || open(2)).main()
    /// }
    /// ```
    pub fn pair<A: AdapterProvider>(
        open: impl Fn() -> Result<A> + Send + Sync + 'static,
        peer: impl Fn() -> Result<A> + Send + Sync + 'static,
    ) -> Self {
        Self { peer: Some(Arc::new(Factory(peer))), ..Self::new(open) }
    }

    /// A kit for a provider that has tables and nothing of this crate, in C for the most part: the cases call its entries,
    /// directly and through the safe consumer. What they want of it besides they ask by the hooks of [`TableProvider`]; a
    /// case that needs one that is not there is left out. Accesses and fast registrations are among them: queue pairs of
    /// the kit's own stand in for the provider's, and call a hook for each. Left out is what a table alone cannot be
    /// asked for: what becomes of queue pairs themselves, panics, executors.
    ///
    /// `capabilities` is what the device declares (section K of the contract).
    ///
    /// ```no_run
    /// # use ndk_core::{Capabilities, conformance::{Kit, TableProvider}};
    /// # fn capabilities() -> Capabilities { unimplemented!() }
    /// unsafe extern "C" {
    ///     static my_provider: TableProvider; // in C: const NDK_CONFORMANCE_PROVIDER my_provider = { ... };
    /// }
    ///
    /// fn main() -> std::process::ExitCode {
    ///     // SAFETY: the functions are what the header asks for.
    ///     unsafe { Kit::table(&my_provider, capabilities()) }.main()
    /// }
    /// ```
    ///
    /// # Safety
    /// The provider's functions have the types that they are given as, and do what `ndk_conformance.h` says of them; the
    /// same holds for the entries of its tables, as far as that nothing beside the objects is overwritten.
    pub unsafe fn table(provider: &TableProvider, capabilities: Capabilities) -> Self {
        const REGIONS: u32 = 5;
        let tables = |limit| Arc::new(Tables { provider: *provider, capabilities, limit });
        Self {
            name: String::new(),
            opener: tables(None),
            peer: None,
            small: provider.limit_regions.map(|_| (REGIONS as usize, tables(Some(REGIONS)) as _)),
            tight: None,
            defects: Vec::new(),
            only: None,
            mappings_pend: false,
            patience: LIMIT,
        }
    }

    /// A name before that of every case, where one program tests several backends, or one in several shapes.
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Adds an adapter that has room for `limit` regions only, for the cases about the limit (C14).
    pub fn region_limit<A: AdapterProvider>(
        self,
        limit: usize,
        open: impl Fn() -> Result<A> + Send + Sync + 'static,
    ) -> Self {
        Self { small: Some((limit, Arc::new(Factory(open)))), ..self }
    }

    /// Adds an adapter that can pin `pages` pages only, for the cases about what a registration takes, and what a failed
    /// one leaves (C13, B7). A page that is in several regions counts in each. A provider that registers once more what it
    /// has registered, say when it was asked at once and again by its future, has half the room.
    pub fn pin_limit<A: AdapterProvider>(
        self,
        pages: usize,
        open: impl Fn() -> Result<A> + Send + Sync + 'static,
    ) -> Self {
        Self { tight: Some((pages, Arc::new(Factory(open)))), ..self }
    }

    /// Leaves a case out, with the reason: one that the device or its driver is known to fail, and that nothing it can
    /// declare excuses.
    pub fn defect(mut self, rule: &'static str, case: &'static str, reason: &'static str) -> Self {
        self.defects.push(Defect { rule, case, reason });
        self
    }

    /// Says that these adapters were asked to let BuildLAM pend (L6). Otherwise a mapping that does not complete inline is
    /// a failure.
    pub fn mappings_pend(self) -> Self {
        Self { mappings_pend: true, ..self }
    }

    /// Tries the cases of these rules alone, as in `C11`, or of whole sections, as in `G`: for a second kit on a device
    /// that differs from the first one's in what those rules say. The summary tells that the others were not tried.
    pub fn only(self, rules: &'static [&'static str]) -> Self {
        Self { only: Some(rules), ..self }
    }

    /// Whether the kit tries the cases of a rule.
    pub(super) fn tries(&self, rule: &str) -> bool {
        let is_in = |part: &&str| rule == *part || rule.trim_end_matches(char::is_numeric) == *part;
        self.only.is_none_or(|only| only.iter().any(is_in))
    }

    /// Has `layer` called with every adapter that the kit opens, before a case uses it: it may put a table of its own in
    /// place of the adapter's, and so come between the consumer and all that is made from it (A4).
    pub fn layered(mut self, layer: impl Fn(*mut NDK_ADAPTER) + Send + Sync + 'static) -> Self {
        let layer: Arc<dyn Fn(*mut NDK_ADAPTER) + Send + Sync> = Arc::new(layer);
        let over = |opener| Arc::new(Layered { opener, layer: layer.clone() }) as Arc<dyn Opener>;
        self.opener = over(self.opener);
        self.peer = self.peer.map(over);
        self.small = self.small.map(|(limit, opener)| (limit, over(opener)));
        self.tight = self.tight.map(|(limit, opener)| (limit, over(opener)));
        self
    }

    /// How long a callback that must come may take, before its case fails; 30 s where nothing is said. A call that does not
    /// return is waited for twice as long or longer. It ends a hang; no case that passes waits for a time.
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Why a case is left out, if the device is known to fail it.
    pub(super) fn known_defect(&self, rule: &str, case: &str) -> Option<&'static str> {
        let is_it = |defect: &&Defect| defect.rule == rule && defect.case == case;
        self.defects.iter().find(is_it).map(|defect| defect.reason)
    }

    /// Runs this kit alone; see [`main`].
    pub fn main(self) -> ExitCode {
        main([self])
    }
}

impl fmt::Debug for Kit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [regions, pins] =
            [&self.small, &self.tight].map(|limited| limited.as_ref().map(|&(limit, _)| limit));
        f.debug_struct("Kit")
            .field("name", &self.name)
            .field("pair", &self.peer.is_some())
            .field("region_limit", &regions)
            .field("pin_limit", &pins)
            .field("defects", &self.defects.len())
            .field("only", &self.only)
            .field("mappings_pend", &self.mappings_pend)
            .finish_non_exhaustive()
    }
}

/// Runs what the command line asks for, as the standard test harness does: a filter, `--list`, `--exact`, `--skip`,
/// `--test-threads`; and `--junit FILE`, which writes what the run came to as JUnit XML. Gives the exit status.
///
/// A backend whose factory fails is a failure, whatever the filter, not a skip.
pub fn main(kits: impl IntoIterator<Item = Kit>) -> ExitCode {
    run::main(kits)
}
