//! The kits that the simulator is put through, as `tests/conformance.rs` makes them, and what each would run.

use ndk_backend_sim::plan::Plan;
use ndk_backend_sim::{Config, Profile, SimAdapter};
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
    let shapes = Profile::names().map(|name| planning(name, name, Plan::default()));
    let planned = [
        ("slow", "latency.all = '1us..20us'"),
        ("rotating", "tokens = { rotate = true, keys = 'two' }"),
        ("slowly-rotating", "latency.all = '1us..20us'\ntokens = { rotate = true, keys = 'one' }"),
    ]
    .map(|(name, plan)| planning(name, "default", plan.parse().expect("a plan")));
    shapes.chain(planned).collect()
}

fn planning(name: &'static str, profile: &'static str, plan: Plan) -> Planning {
    let open = move || {
        let profile = Profile::by_name(profile)?;
        SimAdapter::new(Config { profile, plan: plan.clone(), ..Config::default() })
    };
    let kit = Kit::new(open.clone()).named(name).region_limit(5, open);
    Planning { name, cases: kit.plan().expect("the simulator can be tested") }
}
