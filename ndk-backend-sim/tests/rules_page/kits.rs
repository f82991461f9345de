//! What each kit of the simulator would run.

#[path = "../kits/mod.rs"]
mod simulator;

use ndk_core::conformance::{Kit, Planned};

/// A kit by its name in the output of `cargo test`.
pub(crate) struct Planning {
    pub(crate) name: &'static str,
    pub(crate) cases: Vec<Planned>,
}

impl Planning {
    /// How many cases run, how many tests they are, and how many are left out.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let run = || self.cases.iter().filter(|case| case.left_out.is_none());
        let tests = run().map(Planned::tests).sum();
        (run().count(), tests, self.cases.len() - run().count())
    }

    /// Why a case is left out here.
    pub(crate) fn left_out(&self, rule: &str, case: &str) -> Option<&'static str> {
        let same = |planned: &&Planned| (planned.rule, planned.case) == (rule, case);
        self.cases.iter().find(same)?.left_out
    }
}

pub(crate) fn plannings() -> Vec<Planning> {
    let plan = |kit: Kit| kit.plan().expect("the simulator can be tested");
    simulator::all(|sim| sim)
        .into_iter()
        .map(|(name, kit)| Planning { name, cases: plan(kit) })
        .collect()
}
