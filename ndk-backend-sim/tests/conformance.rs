//! The conformance kit on the simulator, in the shape of each device that it knows.

use ndk_backend_sim::plan::Plan;
use ndk_backend_sim::{Config, Profile, SimAdapter};
use ndk_core::conformance::{Kit, main as run};
use std::process::ExitCode;

/// Room for the regions of the cases about the limit.
const SMALL: u32 = 5;

fn kit(name: &'static str) -> Kit {
    let config = |plan| -> ndk_core::Result<Config> {
        Ok(Config { profile: Profile::by_name(name)?, plan, ..Config::default() })
    };
    Kit::new(move || SimAdapter::new(config(Plan::default())?)).named(name).region_limit(
        SMALL as usize,
        move || {
            let mut plan = Plan::default();
            plan.limits.regions = Some(SMALL);
            SimAdapter::new(config(plan)?)
        },
    )
}

fn main() -> ExitCode {
    run(Profile::names().map(kit))
}
