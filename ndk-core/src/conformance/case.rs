//! A case: one thing that a rule says, tried on every route and with every way of completing that apply.

use super::env::Env;
use crate::abi::NDK_ADAPTER_INFO;
use crate::capabilities::Capabilities;

/// A route by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum RouteKind {
    /// The framework's objects in Rust.
    Native,
    /// The C tables.
    Table,
}

impl RouteKind {
    pub(super) const ALL: [Self; 2] = [Self::Native, Self::Table];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Table => "table",
        }
    }
}

/// On which routes a case makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Routes {
    /// Every one; the case does only what a safe consumer's types allow too.
    All,
    /// Those that take arguments as C has them, wrong ones included.
    Raw,
    /// The tables: the case is about C's side.
    Table,
}

impl Routes {
    pub(super) fn has(self, route: RouteKind) -> bool {
        match self {
            Self::All | Self::Raw => true,
            Self::Table => route == RouteKind::Table,
        }
    }
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
    /// The case decides itself what completes how.
    Own,
}

impl Ways {
    /// The ways, with `None` for a case that decides itself.
    pub(super) fn list(self) -> &'static [Way] {
        match self {
            Self::All => &Way::ALL,
            Self::Called => &[Way::Pending, Way::Early],
            Self::Own => &[Way::Inline],
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
    /// Whether creating, closing and mapping complete inline, as far as a try can tell.
    pub(super) inline: bool,
    /// Whether queue pairs can be made.
    pub(super) queue_pairs: bool,
    /// Whether domains have a privileged token.
    pub(super) privileged_token: bool,
    /// The region limit of the small adapter, where the kit was given one (C14).
    pub(super) small: Option<usize>,
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
    pub(super) run: fn(&mut Env),
}

impl Case {
    /// A case for every route and way.
    pub(super) const fn new(id: &'static str, name: &'static str, run: fn(&mut Env)) -> Self {
        Self { id, name, routes: Routes::All, ways: Ways::All, needs: None, run }
    }

    pub(super) const fn raw(self) -> Self {
        Self { routes: Routes::Raw, ..self }
    }

    pub(super) const fn table(self) -> Self {
        Self { routes: Routes::Table, ..self }
    }

    pub(super) const fn called(self) -> Self {
        Self { ways: Ways::Called, ..self }
    }

    pub(super) const fn own(self) -> Self {
        Self { ways: Ways::Own, ..self }
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

/// Needs a backend that need not wait when something is closed.
pub(super) fn inline(device: &Device) -> Option<&'static str> {
    (!device.inline).then_some("the device makes every operation wait")
}

/// Needs logical address mappings that are built at once.
pub(super) fn inline_mappings(device: &Device) -> Option<&'static str> {
    mappings(device).or_else(|| inline(device))
}
