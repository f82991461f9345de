//! The broken providers: what each breaks, and which case has to see it. Plain data, which the page of rules is made
//! from too.

mod a_and_b;
mod c;
mod d_to_f;
mod g_to_l;

/// Where a provider is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// In the framework's part: a layer over the C tables.
    Table,
    /// In the backend's part: a layer over the provider traits.
    Rust,
    /// Beside both, so that the kit has the provider by its tables alone.
    Alone,
}

/// A provider that is broken in one respect.
#[derive(Debug)]
pub(crate) struct Defect {
    /// The rule that it breaks.
    pub(crate) rule: &'static str,
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    /// The case of that rule that fails.
    pub(crate) case: &'static str,
    /// What the provider does.
    pub(crate) what: &'static str,
    /// Whose shape the simulator under it has.
    pub(crate) profile: &'static str,
    /// Whether only something that never comes can tell.
    pub(crate) waits: bool,
}

impl Defect {
    const fn table(
        rule: &'static str,
        case: &'static str,
        name: &'static str,
        what: &'static str,
    ) -> Self {
        Self { rule, name, level: Level::Table, case, what, profile: "default", waits: false }
    }

    const fn rust(
        rule: &'static str,
        case: &'static str,
        name: &'static str,
        what: &'static str,
    ) -> Self {
        Self { level: Level::Rust, ..Self::table(rule, case, name, what) }
    }

    const fn alone(
        rule: &'static str,
        case: &'static str,
        name: &'static str,
        what: &'static str,
    ) -> Self {
        Self { level: Level::Alone, ..Self::table(rule, case, name, what) }
    }

    const fn waits(self) -> Self {
        Self { waits: true, ..self }
    }

    const fn on(self, profile: &'static str) -> Self {
        Self { profile, ..self }
    }
}

/// Every broken provider, in the contract's order.
pub(crate) fn all() -> impl Iterator<Item = &'static Defect> {
    [a_and_b::ALL, c::ALL, d_to_f::ALL, g_to_l::ALL].into_iter().flatten()
}
