//! The conformance kit on the hand-written table, plain and under the verifier. The table stands behind the bridge from
//! foreign tables: a reference that breaks the contract would be no reference.

use ndk_benches::twin::Twin;
use ndk_core::conformance::Kit;
use ndk_core::foreign::ForeignAdapter;
use ndk_core::verifier::{Policy, Verifier};
use ndk_core::{
    BaseAddress, Capabilities, FastRegistration, Party, Refusal, Result, TokenReuse, TokenScope,
};
use std::env;
use std::process::{Command, ExitCode};
use std::time::Duration;

fn open(regions: u32) -> Result<ForeignAdapter> {
    let capabilities = Capabilities {
        base_address: BaseAddress::Any,
        scattered_pages: true,
        byte_exact: true,
        remote_read_enforced: true,
        read_sink_grants_write: false,
        refusal: Refusal::Completion,
        partial_writes: false,
        token_reuse: TokenReuse::Unknown,
        tokens_unpredictable: false,
        shared_key: true,
        fast_registration: Some(FastRegistration {
            pages: 511,
            rotating: false,
            emulated: false,
            scope: TokenScope::ProtectionDomain,
        }),
        windows: false,
    };
    let twin = Twin::open(regions);
    // SAFETY: the adapter is open until the twin is dropped, and nobody else uses it; that its tables keep the contract
    // is what is tested.
    unsafe { ForeignAdapter::from_ndk(twin.as_ndk(), "twin", capabilities, move || drop(twin)) }
}

/// In these cases the framework leaks a region whose close panicked, or was given up, before the twin heard of it. The
/// twin's domain then waits for that region for ever, as it must (H4), and the cases wait for the domain.
const LEAKING: [&str; 4] = ["--skip", "B8::close", "--skip", "B9::close_region"];

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == LEAKING[1]) {
        // The kit reads its own command line, so that is where it is told what to leave out.
        let program = env::current_exe().expect("a program knows its file");
        let status = Command::new(program).args(arguments).args(LEAKING).status();
        return if status.expect("it starts").success() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let verifier = Verifier::new()
        .policy(Policy::Count)
        .backtraces(false)
        // What pends waits for its case, however long that takes.
        .limit(Duration::from_secs(3600));
    let over = |regions| {
        let verifier = verifier.clone();
        move || Ok(verifier.verify(open(regions)?))
    };
    let plain = Kit::new(|| open(1 << 20)).region_limit(5, || open(5));
    let verified = Kit::new(over(1 << 20)).named("verified").region_limit(5, over(5));
    let outcome = ndk_core::conformance::main([plain, verified]);
    // Of the consumer it finds what cases do wrong on purpose; of the table there is nothing to find.
    if verifier.counts().provider > 0 {
        let findings = verifier.findings().into_iter();
        let wrong = findings.filter(|finding| finding.party == Party::Provider);
        wrong.for_each(|finding| eprintln!("{finding}"));
        return ExitCode::FAILURE;
    }
    outcome
}
