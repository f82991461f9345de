//! From the list of cases to the output of `cargo test`.

use super::case::{Case, Device, RouteKind, Span, Way, Ways};
use super::cases;
use super::contained::{contained, note_places};
use super::control::Control;
use super::current::InProgress;
use super::desk::Desk;
use super::env::Env;
use super::hooks::{LeftOut, NO_PACE};
use super::kit::Kit;
use super::memory::Memory;
use super::outcome::Status;
use super::report::{Report, Test};
use super::session::{Path, Session, Setup};
use super::ticket::Bell;
use crate::abi::{NDK_VERSION, NTSTATUS, STATUS_NOT_SUPPORTED, STATUS_SUCCESS};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::RegionKind;
use clap::Parser;
use libtest_mimic::{Arguments, Completion, Failed, FormatSetting, Trial};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// What the standard test harness understands, and a report.
#[derive(Parser)]
#[command(disable_version_flag = true)]
struct Options {
    #[command(flatten)]
    harness: Arguments,
    /// Write what the run came to as JUnit XML, for CI systems.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

pub(super) fn main(kits: impl IntoIterator<Item = Kit>) -> ExitCode {
    let options = Options::parse();
    let mut report = Report::default();
    let mut tests = Vec::new();
    note_places();
    for kit in kits {
        let kit = Arc::new(kit);
        report.restricted(&kit);
        match probe(&kit) {
            Ok(device) => {
                let patience = kit.patience;
                let of_kit = self::tests(&kit, &Arc::new(device));
                tests.extend(of_kit.into_iter().map(|(test, run)| (test, patience, run)));
            }
            Err(error) => report.no_device(&kit.name, error),
        }
    }
    let report = Arc::new(report);
    let trials = tests.into_iter().map(|(test, patience, run)| {
        let report = report.clone();
        Trial::ignorable_test(test.name(), move || report.note(test, patience, run))
    });
    let start = Instant::now();
    let conclusion = libtest_mimic::run(&options.harness, trials.collect());
    let time = start.elapsed();
    if options.harness.list {
        report.tell_missing(&mut io::stderr()).expect("what is missing can be written");
    } else {
        // A format for programs takes no lines of ours.
        let shown = match options.harness.format {
            Some(FormatSetting::Json) => report.summarize(&mut io::stderr()),
            _ => report.summarize(&mut io::stdout()),
        };
        shown.expect("the summary can be written");
    }
    if let Some(path) = &options.junit
        && let Err(error) = report.write_junit(path, time)
    {
        eprintln!("{}: {error}", path.display());
        return ExitCode::FAILURE;
    }
    if report.has_every_device() { conclusion.exit_code() } else { ExitCode::from(101) }
}

type Run = Box<dyn FnOnce() -> Result<Completion, Failed> + Send>;

/// What a kit runs on its device.
fn tests(kit: &Arc<Kit>, device: &Arc<Device>) -> Vec<(Test, Run)> {
    let mut tests = Vec::new();
    for case in cases::all().filter(|case| kit.tries(case.id)) {
        let mut add = |(route, way, span): (RouteKind, Way, Span)| {
            let (kit, device, case) = (kit.clone(), device.clone(), *case);
            let ruled_out = case.routes.ruled_out(route);
            let pair = span == Span::Pair && device.span() == Span::Loopback;
            let test = Test {
                kit: kit.name.clone(),
                rule: case.id,
                case: case.name,
                route: if pair { "pair" } else { route.name() },
                way: (!pair && case.ways != Ways::Own).then(|| way.name()),
            };
            let run: Run = match ruled_out {
                Some(reason) => Box::new(move || {
                    let reason = format!("the safe consumer's types rule it out: {reason}");
                    Ok(Completion::ignored_with(reason))
                }),
                None => Box::new(move || run(kit, device, &case, (route, way, span))),
            };
            tests.push((test, run));
        };
        let is_told =
            |route: RouteKind| case.routes.has(route) || case.routes.ruled_out(route).is_some();
        for &route in kit.opener.routes().iter().filter(|&&route| is_told(route)) {
            case.ways.list(route).iter().for_each(|&way| add((route, way, device.span())));
        }
        if device.has_pair(case) {
            // Neither route nor way matters to what passes between two adapters.
            add((RouteKind::Table, Way::Inline, Span::Pair));
        }
    }
    tests
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
    if setting.1 != Way::Inline && !device.paces {
        return Ok(Completion::ignored_with(NO_PACE));
    }
    let _in_progress = InProgress::new(case.id, case.name);
    let mut env = Env::new(kit, device, setting)?;
    let ended = catch_unwind(AssertUnwindSafe(|| (case.run)(&mut env)));
    let left_out = match ended.map_err(|panic| panic.downcast::<LeftOut>()) {
        Ok(()) => None,
        Err(Ok(left_out)) => Some(left_out.0),
        Err(Err(panic)) => resume_unwind(panic),
    };
    if left_out.is_some()
        && let Some(hooks) = env.control.hooks()
    {
        hooks.release_all();
    }
    env.wrap_up();
    Ok(left_out.map_or(Completion::Completed, Completion::ignored_with))
}

/// Finds out what the device has, apart from what it declares. One that hangs or breaks a rule meanwhile is an error.
pub(super) fn probe(kit: &Arc<Kit>) -> Result<Device> {
    let (name, looked_at) = (format!("{}:device", kit.name), kit.clone());
    contained(name, kit.patience, move || look_at(&looked_at))
        .unwrap_or_else(|failed| Err(Error::new(ErrorKind::Internal, failed)))
}

fn look_at(kit: &Arc<Kit>) -> Result<Device> {
    let session = open_highest(kit)?;
    let mut device = Device {
        info: session.info(),
        capabilities: session.capabilities(),
        fast_registration: false,
        inline: true,
        mappings_pend: kit.mappings_pend,
        mappings: false,
        queue_pairs: false,
        fast_requests: kit.opener.fast_registers(),
        binds: kit.opener.binds(),
        peer: kit.peer.is_some(),
        privileged_token: false,
        table_alone: kit.opener.is_table_alone(),
        paces: kit.opener.paces(),
        small: kit.small.as_ref().map(|&(limit, _)| limit),
        tight: kit.tight.as_ref().map(|&(limit, _)| limit),
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
    let (region, mr) = env.create_mr(pd, RegionKind::Conventional);
    let mr = mr.ok_or_else(|| unusable("a region", region.status()))?;
    let close = env.close(mr);
    device.inline = [outcome, fast, region, close].iter().all(|it| !it.is_called());
    env.wrap_up();
    Ok(device)
}

/// Opens with the highest version that the backend serves.
fn open_highest(kit: &Kit) -> Result<Box<dyn Session>> {
    let open = |(major, minor)| {
        let version = NDK_VERSION { Major: major, Minor: minor };
        let control = Arc::<Control>::default();
        let desk = Desk::new(Bell::new(kit.patience), control.clone());
        kit.opener.open(Setup { version, desk, control, path: Path::Table })
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
