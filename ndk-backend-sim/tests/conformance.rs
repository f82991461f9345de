//! The conformance kit on the simulator: in the shape of each device that it knows, and as a device that waits.

use ndk_backend_sim::plan::Plan;
use ndk_backend_sim::{Config, Profile, SimAdapter};
use ndk_core::conformance::{Kit, main as run};
use std::process::ExitCode;

/// Room for the regions of the cases about the limit.
const SMALL: u32 = 5;

/// Every operation ends on the simulator's clock, a little later.
const SLOW: &str = "[latency]\nall = \"1us..20us\"";

/// Tokens of fast registrations change with each round: with a key for each side, and with one key that everything pends on.
const ROTATING: &str = "[tokens]\nrotate = true\nkeys = \"two\"";
const SLOWLY_ROTATING: &str =
    "[latency]\nall = \"1us..20us\"\n[tokens]\nrotate = true\nkeys = \"one\"";

fn kit(name: &str, profile: &'static str, plan: Plan) -> Kit {
    let mut small = plan.clone();
    small.limits.regions = Some(SMALL);
    let open = move |plan: &Plan| {
        let profile = Profile::by_name(profile)?;
        SimAdapter::new(Config { profile, plan: plan.clone(), ..Config::default() })
    };
    Kit::new(move || open(&plan)).named(name).region_limit(SMALL as usize, move || open(&small))
}

fn main() -> ExitCode {
    let shapes = Profile::names().map(|name| kit(name, name, Plan::default()));
    let planned = [("slow", SLOW), ("rotating", ROTATING), ("slowly-rotating", SLOWLY_ROTATING)]
        .map(|(name, plan)| kit(name, "default", plan.parse().expect("a plan")));
    run(shapes.chain(planned))
}
