//! The kit on one broken provider.

use crate::list::{Defect, Level, all};
use crate::{SOUND, alone, rust, table};
use ndk_backend_sim::plan::{Limits, Plan};
use ndk_backend_sim::{Config, Fabric, Profile, SimAdapter};
use ndk_core::Result;
use ndk_core::conformance::Kit;
use std::process::ExitCode;
use std::time::Duration;

/// Room for the regions of the cases about the limit.
const SMALL: u32 = 5;

/// Pages that can be pinned in the cases about what a registration takes.
const TIGHT: u32 = 4;

/// For providers whose mistake is that something never comes.
const SHORT: Duration = Duration::from_millis(500);

pub(crate) fn main(name: &str) -> ExitCode {
    let defect = all().find(|defect| defect.name == name);
    assert!(defect.is_some() || name == SOUND, "there is no provider {name}");
    if defect.is_some_and(|defect| defect.level == Level::Alone) {
        return alone::kit(name).expect("the simulator can be asked").main();
    }
    let (layer, hooks) = (rust::find(name), table::find(name));
    let found = usize::from(layer.is_some()) + usize::from(hooks.is_some());
    assert_eq!(found, usize::from(defect.is_some()), "{name} is broken in one way");
    rust::install(layer);
    table::install(hooks);
    kit(defect).layered(table::layer).main()
}

fn kit(defect: Option<&Defect>) -> Kit {
    let profile = defect.map_or("default", |defect| defect.profile);
    let fabric = Fabric::new();
    let open = |limits: Limits| {
        let fabric = fabric.clone();
        move || -> Result<_> {
            let plan = Plan { limits, ..Plan::default() };
            let (profile, fabric) = (Profile::by_name(profile)?, fabric.clone());
            let adapter = SimAdapter::new(Config { profile, plan, fabric, ..Config::default() })?;
            Ok(rust::Broken::new(adapter))
        }
    };
    let none = Limits::default();
    let regions = Limits { regions: Some(rust::regions(SMALL)), ..none };
    let pins = Limits { pinned_pages: Some(TIGHT), ..none };
    let kit = Kit::pair(open(none), open(none))
        .region_limit(SMALL as usize, open(regions))
        .pin_limit(TIGHT as usize, open(pins));
    if defect.is_some_and(|defect| defect.waits) { kit.patience(SHORT) } else { kit }
}
