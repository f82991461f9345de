//! Section B: entries that put their caller to sleep, as for a command queue that is polled.

use super::Layer;
use super::notes::Note;
use ndk_core::mdl::MdlView;
use ndk_core::{Access, Result};
use std::thread;
use std::time::Duration;

pub(super) fn find(name: &str) -> Option<Box<dyn Layer>> {
    Some(match name {
        "register_sleeps" => Box::new(RegisterSleeps),
        "domain_creation_sleeps" => Box::new(DomainCreationSleeps),
        "region_creation_sleeps" => Box::new(RegionCreationSleeps),
        "mapping_sleeps" => Box::new(MappingSleeps),
        _ => return None,
    })
}

fn sleep() {
    thread::sleep(Duration::from_micros(50));
}

struct RegisterSleeps;
struct DomainCreationSleeps;
struct RegionCreationSleeps;
struct MappingSleeps;

impl Layer for RegisterSleeps {
    fn register(&self, _: &Note, _: &MdlView<'_>, _: &mut Access) -> Result<()> {
        sleep();
        Ok(())
    }
}

impl Layer for DomainCreationSleeps {
    // Asked when a domain is created.
    fn domain_of_regions(&self, number: usize) -> usize {
        sleep();
        number
    }
}

impl Layer for RegionCreationSleeps {
    fn created(&self, _: &Note) {
        sleep();
    }
}

impl Layer for MappingSleeps {
    fn mapped(&self, _: &MdlView<'_>, _: &mut [u64]) {
        sleep();
    }
}
