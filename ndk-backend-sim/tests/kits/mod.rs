//! The kits that the simulator is put through: in the shape of each device that it knows, and as devices that wait, whose
//! tokens rotate, that have little room, or whose bounds are those of pages.

use ndk_backend_sim::plan::Plan;
use ndk_backend_sim::{Config, Fabric, Profile, SimAdapter};
use ndk_core::abi::PAGE_SIZE;
use ndk_core::conformance::Kit;
use ndk_core::{AdapterProvider, Result};

/// Room for the regions of the cases about the limit.
const SMALL: u32 = 5;

/// Pages that can be pinned in the cases about what a registration takes.
const TIGHT: u32 = 4;

/// The least that the kit takes for enough: bytes of a registration, and regions at a time.
const FEW_BYTES: usize = 8 * PAGE_SIZE;
const FEW_REGIONS: u32 = 16;

/// Every operation ends on the simulator's clock, a little later.
const SLOW: &str = "[latency]\nall = \"1us..20us\"";

/// Tokens of fast registrations change with each round: with a key for each side, and with one key that everything pends on.
const ROTATING: &str = "[tokens]\nrotate = true\nkeys = \"two\"";
const SLOWLY_ROTATING: &str =
    "[latency]\nall = \"1us..20us\"\n[tokens]\nrotate = true\nkeys = \"one\"";

/// What the tokens of fast registrations matter to. Of all the rest those kits say nothing that others do not.
const ROTATED: &[&str] = &[
    "C11", "D1", "D4", "E1", "E2", "E3", "E4", "F6", "G", "H1", "H2", "H3", "L1", "L2", "L3", "L4",
];

/// What bounds matter to.
const BOUNDED: &[&str] = &["C", "D4", "F", "G4", "L3"];

/// What is put over each adapter before the kit has it.
type Layer<A> = fn(SimAdapter) -> A;

/// How one adapter after another is made, all of them within reach of each other.
fn opener<A>(
    profile: Profile,
    plan: Plan,
    fabric: Fabric,
    layer: Layer<A>,
) -> impl Fn() -> Result<A> {
    move || {
        let (profile, plan, fabric) = (profile.clone(), plan.clone(), fabric.clone());
        SimAdapter::new(Config { profile, plan, fabric, ..Config::default() }).map(layer)
    }
}

fn kit<A: AdapterProvider>(
    name: &'static str,
    profile: &Profile,
    plan: &str,
    layer: Layer<A>,
) -> (&'static str, Kit) {
    let plan: Plan = plan.parse().expect("a plan");
    let [mut small, mut tight] = [plan.clone(), plan.clone()];
    small.limits.regions = Some(SMALL);
    tight.limits.pinned_pages = Some(TIGHT);
    let fabric = Fabric::new();
    let open = |plan: &Plan| opener(profile.clone(), plan.clone(), fabric.clone(), layer);
    let kit = Kit::pair(open(&plan), open(&plan)).named(name);
    let kit = kit.region_limit(SMALL as usize, open(&small));
    let kit = if plan.latency.is_empty() { kit } else { kit.mappings_pend() };
    (name, kit.pin_limit(TIGHT as usize, open(&tight)))
}

/// Each kit, and its name, on adapters under a layer.
pub(crate) fn all<A: AdapterProvider>(layer: Layer<A>) -> Vec<(&'static str, Kit)> {
    let shape = |name| Profile::by_name(name).expect("a profile");
    let shapes = Profile::names().map(|name| kit(name, &shape(name), "", layer));
    let default = Profile::connectx3();
    let rotating = [("rotating", ROTATING), ("slowly-rotating", SLOWLY_ROTATING)];
    let rotating =
        rotating.map(|(name, plan)| (name, kit(name, &default, plan, layer).1.only(ROTATED)));
    let slow = kit("slow", &default, SLOW, layer);
    let few = kit("few", &default.clone().limited(1, FEW_BYTES, FEW_REGIONS), "", layer);
    let (name, vast) =
        kit("vast", &default.clone().limited(u32::MAX, usize::MAX, FEW_REGIONS), "", layer);
    let by_pages = [("by-pages", default), ("siw-by-pages", Profile::siw())];
    let by_pages = by_pages
        .map(|(name, shape)| (name, kit(name, &shape.by_pages(), "", layer).1.only(BOUNDED)));
    let others = [slow, few, (name, vast.only(&["G2", "G4"]))];
    shapes.chain(others).chain(rotating).chain(by_pages).collect()
}
