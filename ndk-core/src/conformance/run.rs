//! From the list of cases to the output of `cargo test`.

use super::case::{Case, Device, RouteKind, Span, Way, Ways};
use super::cases;
use super::control::Control;
use super::desk::Desk;
use super::env::Env;
use super::kit::Kit;
use super::memory::Memory;
use super::outcome::Status;
use super::session::{Opener, Path, Session, Setup};
use super::ticket::Bell;
use crate::abi::{NDK_VERSION, NTSTATUS, STATUS_NOT_SUPPORTED, STATUS_SUCCESS};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::RegionKind;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::process::ExitCode;
use std::sync::Arc;

pub(super) fn main(kits: impl IntoIterator<Item = Kit>) -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = kits.into_iter().flat_map(trials).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trials(kit: Kit) -> Vec<Trial> {
    let prefix = if kit.name.is_empty() { String::new() } else { format!("{}:", kit.name) };
    let kit = Arc::new(kit);
    let device = match probe(&kit) {
        Ok(device) => Arc::new(device),
        Err(error) => {
            let failed = Failed::from(format!("the factory gives no usable device: {error}"));
            return vec![Trial::test(format!("{prefix}device"), move || Err(failed))];
        }
    };
    let mut trials = Vec::new();
    for case in cases::all() {
        for route in RouteKind::ALL.into_iter().filter(|&route| case.routes.has(route)) {
            for &way in case.ways.list(route) {
                let (kit, device, case) = (kit.clone(), device.clone(), *case);
                let name = format!("{prefix}{}", full_name(&case, route, way));
                let setting = (route, way, device.span());
                trials.push(Trial::ignorable_test(name, move || run(kit, device, &case, setting)));
            }
        }
        if device.has_pair(case) {
            let (kit, device, case) = (kit.clone(), device.clone(), *case);
            // Neither route nor way matters to what passes between two adapters.
            let setting = (RouteKind::Table, Way::Inline, Span::Pair);
            let name = format!("{prefix}{}::{}/pair", case.id, case.name);
            trials.push(Trial::ignorable_test(name, move || run(kit, device, &case, setting)));
        }
    }
    trials
}

/// As in `C6::length_zero/table/pending`; a case that decides itself what pends has no last part.
fn full_name(case: &Case, route: RouteKind, way: Way) -> String {
    let name = format!("{}::{}/{}", case.id, case.name, route.name());
    if case.ways == Ways::Own { name } else { format!("{name}/{}", way.name()) }
}

fn run(
    kit: Arc<Kit>,
    device: Arc<Device>,
    case: &Case,
    setting: (RouteKind, Way, Span),
) -> Result<Completion, Failed> {
    let unable = case.needs.and_then(|needs| needs(&device));
    if let Some(reason) = unable.or_else(|| kit.known_defect(case.id, case.name)) {
        return Ok(Completion::ignored_with(reason));
    }
    let mut env = Env::new(kit, device, setting)?;
    (case.run)(&mut env);
    env.wrap_up();
    Ok(Completion::Completed)
}

/// Finds out what the device has, apart from what it declares.
pub(super) fn probe(kit: &Arc<Kit>) -> Result<Device> {
    let session = open_highest(&*kit.opener)?;
    let mut device = Device {
        info: session.info(),
        capabilities: session.capabilities(),
        fast_registration: false,
        inline: true,
        inline_mappings: true,
        mappings: false,
        queue_pairs: false,
        peer: kit.peer.is_some(),
        privileged_token: false,
        small: kit.small.as_ref().map(|&(limit, _)| limit),
    };
    let _ = session.try_close();
    let shown = Arc::new(Device { ..device });
    let mut env = Env::new(kit.clone(), shown, (RouteKind::Table, Way::Inline, Span::Loopback))?;
    let (outcome, pd) = env.create_pd();
    let pd = pd.ok_or_else(|| unusable("a domain", outcome.status()))?;
    let (fast, _) = env.create_mr(pd, RegionKind::FastRegister);
    device.fast_registration = has("fast registration", fast.status())?;
    // SAFETY: the domain is open.
    device.privileged_token = unsafe { env.route.privileged_token(pd) } != 0;
    // SAFETY: as above.
    let port = env.wait_for("a queue pair", unsafe { env.session().create_port(pd) });
    let port = port.map_or_else(|error| error.status(), |_| STATUS_SUCCESS);
    device.queue_pairs = has("a queue pair", port)?;
    let memory = env.keep(Memory::new(1, 0));
    let mapping = cases::try_mapping(&mut env, &memory);
    device.mappings = has("a mapping", mapping.status())?;
    device.inline_mappings = !mapping.is_called();
    let (region, mr) = env.create_mr(pd, RegionKind::Conventional);
    let mr = mr.ok_or_else(|| unusable("a region", region.status()))?;
    let close = env.close(mr);
    device.inline = [outcome, fast, region, close].iter().all(|it| !it.is_called());
    env.wrap_up();
    Ok(device)
}

/// Opens with the highest version that the backend serves.
fn open_highest(opener: &dyn Opener) -> Result<Box<dyn Session>> {
    let open = |(major, minor)| {
        let version = NDK_VERSION { Major: major, Minor: minor };
        let control = Arc::<Control>::default();
        let desk = Desk::new(Arc::<Bell>::default(), control.clone());
        opener.open(Setup { version, desk, control, path: Path::Table })
    };
    open((2, 0)).or_else(|_| open((1, 2))).or_else(|_| open((1, 1)))
}

/// NOT_SUPPORTED is an answer; every other failure is one of the device.
fn has(what: &str, status: NTSTATUS) -> Result<bool> {
    match status {
        STATUS_SUCCESS => Ok(true),
        STATUS_NOT_SUPPORTED => Ok(false),
        other => Err(unusable(what, other)),
    }
}

fn unusable(what: &str, status: NTSTATUS) -> Error {
    let kind = ErrorKind::from_status(status).unwrap_or(ErrorKind::Internal);
    Error::new(kind, format!("{what} cannot be made: {:?}", Status(status)))
}
