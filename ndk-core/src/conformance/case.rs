//! A case: one thing that a rule says, tried on every route and with every way of completing that apply.

use super::env::Env;
use super::hooks::{NO_EXECUTOR, NO_PANIC};
use crate::abi::{NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED, NDK_ADAPTER_INFO};
use crate::capabilities::Capabilities;

/// A route by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum RouteKind {
    /// The framework's objects in Rust.
    Native,
    /// The C tables.
    Table,
    /// The safe consumer.
    Consumer,
}

impl RouteKind {
    pub(super) const ALL: [Self; 3] = [Self::Native, Self::Table, Self::Consumer];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Table => "table",
            Self::Consumer => "consumer",
        }
    }
}

/// On which routes a case makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Routes {
    /// Every one; the case does only what a safe consumer's types allow too.
    All,
    /// Those that take arguments as C has them, wrong ones included; and why a safe consumer cannot ask.
    Raw(&'static str),
    /// The tables: the case is about C's side.
    Table,
}

impl Routes {
    pub(super) fn has(self, route: RouteKind) -> bool {
        match self {
            Self::All => true,
            Self::Raw(_) => route != RouteKind::Consumer,
            Self::Table => route == RouteKind::Table,
        }
    }

    /// Why the types of that route rule the case out, if they do.
    pub(super) fn ruled_out(self, route: RouteKind) -> Option<&'static str> {
        match self {
            Self::Raw(reason) if route == RouteKind::Consumer => Some(reason),
            _ => None,
        }
    }
}

/// Why the types of the safe consumer rule a case out; each is the end of a sentence.
pub(super) mod ruled_out {
    pub(in super::super) const NULL: &str = "Rust has no null to pass";
    pub(in super::super) const CONTEXT: &str = "the consumer makes the contexts itself";
    pub(in super::super) const CHAIN: &str = "the MDL builder makes no such chain";
    pub(in super::super) const STATE: &str = "in that state the region's type has no such method";
    pub(in super::super) const PENDING: &str = "a pending request owns its region";
    pub(in super::super) const CLOSED: &str = "what is being closed is gone for the caller";
    pub(in super::super) const BORROWED: &str =
        "a creation borrows what it creates in, which cannot be closed meanwhile";
    pub(in super::super) const MAPPING: &str = "a mapping makes its buffers and lengths itself";
    pub(in super::super) const INSIDE: &str =
        "after an early callback the future is ready at its first poll, so nothing runs inside";
}

/// A way of completing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Way {
    /// As the backend does it by itself, which is inline for a backend that need not wait.
    Inline,
    /// The operation waits, and the executor runs it after the entry has returned.
    Pending,
    /// The operation waits, and the executor runs it at once: the callback comes before the entry has returned.
    Early,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Inline, Self::Pending, Self::Early];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Inline => "inline",
            Self::Pending => "pending",
            Self::Early => "early",
        }
    }
}

/// With which ways of completing a case makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ways {
    /// Each.
    All,
    /// Those with a callback.
    Called,
    /// As `Called`, of a case that does something inside a callback. No code of a safe consumer's runs in an early one.
    Inside,
    /// The case decides itself what completes how.
    Own,
}

impl Ways {
    /// The ways on a route; one that stands for its own, of a case that decides itself.
    pub(super) fn list(self, route: RouteKind) -> &'static [Way] {
        match (self, route) {
            (Self::All, _) => &Way::ALL,
            (Self::Inside, RouteKind::Consumer) => &[Way::Pending],
            (Self::Called | Self::Inside, _) => &[Way::Pending, Way::Early],
            (Self::Own, _) => &[Way::Inline],
        }
    }
}

/// What the kit knows of the device under test before it runs a case.
pub(super) struct Device {
    pub(super) info: NDK_ADAPTER_INFO,
    pub(super) capabilities: Capabilities,
    /// Whether regions for fast registration can be created.
    pub(super) fast_registration: bool,
    /// Whether logical address mappings can be built.
    pub(super) mappings: bool,
    /// Whether creating and closing complete inline, as far as a try can tell.
    pub(super) inline: bool,
    /// Whether the kit was told that mappings pend.
    pub(super) mappings_pend: bool,
    /// Whether queue pairs can be made, or those that stand in for a table's.
    pub(super) queue_pairs: bool,
    /// Whether they take fast registrations.
    pub(super) fast_requests: bool,
    /// Whether they bind windows.
    pub(super) binds: bool,
    /// Whether the kit was given a second adapter to connect this one to.
    pub(super) peer: bool,
    /// Whether domains have a privileged token.
    pub(super) privileged_token: bool,
    /// Whether nothing of the framework is between the kit and the device's tables.
    pub(super) table_alone: bool,
    /// Whether requests can be made to pend.
    pub(super) paces: bool,
    /// The region limit of the small adapter, where the kit was given one (C14).
    pub(super) small: Option<usize>,
    /// How many pages can be pinned of the adapter that the kit was given for that (C13).
    pub(super) tight: Option<usize>,
}

impl Device {
    /// Whether the adapter can be connected to itself.
    pub(super) fn loops_back(&self) -> bool {
        self.info.AdapterFlags & NDK_ADAPTER_FLAG_LOOPBACK_CONNECTIONS_SUPPORTED != 0
    }

    /// As many pages as a case would like in a fast registration, or the fewer that the device takes.
    pub(super) fn fast_pages(&self, most: usize) -> usize {
        most.min(self.info.FRMRPageCount as usize)
    }

    /// What a case connects that has no opinion.
    pub(super) fn span(&self) -> Span {
        if self.peer && !self.loops_back() { Span::Pair } else { Span::Loopback }
    }

    /// Whether a case is tried between two adapters besides.
    pub(super) fn has_pair(&self, case: &Case) -> bool {
        case.between && self.peer && self.span() == Span::Loopback
    }
}

/// Says why a case cannot be run on a device; `None` where it can.
pub(super) type Needs = fn(&Device) -> Option<&'static str>;

/// A case.
#[derive(Clone, Copy)]
pub(super) struct Case {
    /// The ID of the rule.
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) routes: Routes,
    pub(super) ways: Ways,
    pub(super) needs: Option<Needs>,
    /// Whether it is tried between two adapters as well, where there are two.
    pub(super) between: bool,
    pub(super) run: fn(&mut Env),
}

/// Which adapters a case connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// One, with itself.
    Loopback,
    /// Two.
    Pair,
}

impl Case {
    /// A case for every route and way.
    pub(super) const fn new(id: &'static str, name: &'static str, run: fn(&mut Env)) -> Self {
        Self { id, name, routes: Routes::All, ways: Ways::All, needs: None, between: false, run }
    }

    /// Not for the safe consumer, and why.
    pub(super) const fn raw(self, reason: &'static str) -> Self {
        Self { routes: Routes::Raw(reason), ..self }
    }

    pub(super) const fn table(self) -> Self {
        Self { routes: Routes::Table, ..self }
    }

    pub(super) const fn called(self) -> Self {
        Self { ways: Ways::Called, ..self }
    }

    pub(super) const fn inside(self) -> Self {
        Self { ways: Ways::Inside, ..self }
    }

    pub(super) const fn own(self) -> Self {
        Self { ways: Ways::Own, ..self }
    }

    /// Tried between two adapters too.
    pub(super) const fn between(self) -> Self {
        Self { between: true, ..self }
    }

    pub(super) const fn needs(self, needs: Needs) -> Self {
        Self { needs: Some(needs), ..self }
    }
}

/// Needs regions for fast registration.
pub(super) fn fast_registration(device: &Device) -> Option<&'static str> {
    (!device.fast_registration).then_some("the device has no fast registration")
}

/// Needs logical address mappings.
pub(super) fn mappings(device: &Device) -> Option<&'static str> {
    (!device.mappings).then_some("the backend has no logical address mappings")
}

/// Needs the framework.
pub(super) fn framework(device: &Device) -> Option<&'static str> {
    device.table_alone.then_some("it is about the framework, and a table alone is without")
}

/// Needs the executor to be the kit's.
pub(super) fn executor(device: &Device) -> Option<&'static str> {
    device.table_alone.then_some(NO_EXECUTOR)
}

/// Needs a provider that can panic.
pub(super) fn panics(device: &Device) -> Option<&'static str> {
    device.table_alone.then_some(NO_PANIC)
}

/// Needs a backend that need not wait when something is closed.
pub(super) fn inline(device: &Device) -> Option<&'static str> {
    (!device.inline).then_some("the device makes every operation wait")
}

/// Needs logical address mappings that are built at once.
pub(super) fn inline_mappings(device: &Device) -> Option<&'static str> {
    let pends = device.mappings_pend;
    mappings(device).or(pends.then_some("the adapter was asked to let mappings pend (L6)"))
}
