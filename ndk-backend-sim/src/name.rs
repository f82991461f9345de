//! The simulator's adapters by name.

use crate::adapter::{Config, SimAdapter};
use crate::fabric::Fabric;
use crate::plan::Plan;
use crate::profile::Profile;
use ndk_core::backend::{BackendName, Options};
use ndk_core::{BoxedAdapter, Result};
use std::sync::atomic::{AtomicU32, Ordering};

/// A factory for a [`Registry`](ndk_core::backend::Registry): adapters of one fabric, named `sim0`, `sim1` and so on, or
/// `sim:NAME` by a name of their own.
///
/// Options: `seed`, `profile`, and those of a [`Plan`].
pub fn factory(
    fabric: Fabric,
) -> impl Fn(&BackendName) -> Result<BoxedAdapter> + Send + Sync + 'static {
    let made = AtomicU32::new(0);
    move |name| {
        let mut options = Options::of(name);
        let seed = options.take(
            "seed",
            "a number that makes tokens, latency draws and faults the same each time; tokens can then be guessed",
        )?;
        let profile = options.take_with(
            "profile",
            "whose limits and shape the device has: default, rxe, siw, mlx5 or iwarp",
            Profile::by_name,
        )?;
        let plan = Plan::take(&mut options)?;
        options.finish()?;
        let number = made.fetch_add(1, Ordering::Relaxed);
        let config = Config {
            name: name.instance().map_or_else(|| format!("sim{number}"), String::from),
            profile: profile.unwrap_or_else(Profile::connectx3),
            seed,
            plan,
            fabric: fabric.clone(),
            ..Config::default()
        };
        Ok(BoxedAdapter::new(SimAdapter::new(config)?))
    }
}
