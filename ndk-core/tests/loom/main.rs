//! Models of the races that matter, run by loom in every order of the framework's atomics, cells and locks.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p ndk-core --release --no-default-features --test loom`
//!
//! Without default features, because with `std` the framework contains panics of a backend or an executor, and would
//! take loom's findings for those. A callback is a C function, from which a finding cannot unwind: the test program
//! then aborts after printing it.
#![cfg(loom)]

#[cfg(feature = "std")]
compile_error!(
    "the models need `--no-default-features`: panics that are contained are findings that are lost"
);

mod bench;
mod close;
mod completion;
mod device;
mod domain;
mod executors;
mod initialise;
mod work;

use loom::model::Builder;

/// Explores a model completely.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    explore_with(None, model);
}

/// Explores a model up to that many preemptions of a running thread in one execution; blocking, ending and yielding
/// are free. The default of `LOOM_MAX_PREEMPTIONS` is none, and the variable overrules the bound given here.
fn explore_up_to(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    explore_with(Some(preemptions), model);
}

fn explore_with(bound: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(bound);
    builder.max_branches = builder.max_branches.max(10_000);
    let executions = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = executions.clone();
    builder.check(move || {
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        model();
    });
    println!("{} executions", executions.load(std::sync::atomic::Ordering::Relaxed));
}
