//! What the tools `ndmrlat` and `ndmrrate` share: their options, a domain of any backend, and how rows are written.

use crate::plot::{self, Labels, Series};
use crate::table;
use crate::ticket::{Ticket, close_done, create_done, request_done};
use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use ndk_core::abi::*;
use ndk_core::mdl::Mdl;
use ndk_core::{BoxedAdapter, Error, Opened, Result, Std, ThreadPool};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The sizes go up to this.
pub const MAX_SIZE: usize = 4 << 20;

/// The options that both tools have.
#[derive(Args, Debug)]
pub struct Options {
    /// The backend by name
    #[arg(long, default_value = "sim")]
    pub backend: String,
    /// How rows are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Draws the medians, with the 99th percentiles as bars, into this SVG file
    #[arg(long)]
    pub plot: Option<PathBuf>,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// In columns, each row as soon as it is there
    Table,
    /// Comma-separated values, with a header
    Csv,
    /// An array of objects
    Json,
}

/// The sizes in bytes: 1, doubling, up to [`MAX_SIZE`].
pub fn sizes() -> impl Iterator<Item = usize> {
    (0..=MAX_SIZE.ilog2()).map(|shift| 1 << shift)
}

/// A row of a tool's output.
pub trait Row: Serialize {
    /// The lines above the columns.
    const HEADER: &'static str;

    /// The row in columns.
    fn columns(&self) -> String;
}

/// Writes the rows in the format that was asked for.
///
/// # Errors
/// They cannot be written.
pub fn write_rows<R: Row>(
    format: Format,
    rows: &[R],
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let out = std::io::stdout().lock();
    match format {
        Format::Table => {}
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(out);
            rows.iter().try_for_each(|row| writer.serialize(row))?;
            writer.flush()?;
        }
        Format::Json => {
            serde_json::to_writer_pretty(out, rows)?;
            println!();
        }
    }
    Ok(())
}

/// Draws the series, where a plot was asked for.
///
/// # Errors
/// The file cannot be written.
pub fn draw(
    options: &Options,
    title: &str,
    series: &[Series],
) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let Some(path) = &options.plot else { return Ok(()) };
    let title = format!("{title}, {}", options.backend);
    let labels = Labels { title, x: "bytes".into(), y: "microseconds".into() };
    plot::lines(path, &labels, series)
}

/// A progress bar over the sizes, on the terminal's other stream.
pub fn progress(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} sizes, {eta}")
        .expect("the template is valid");
    ProgressBar::new(sizes().count() as u64).with_style(style).with_prefix(what.to_owned())
}

/// A histogram of nanoseconds, exact to three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three digits are few enough")
}

/// Notes a duration.
pub fn note(histogram: &mut Histogram<u64>, took: Duration) {
    histogram.record(took.as_nanos() as u64).expect("the histogram grows");
}

/// To three digits behind the point: of microseconds, that is nanoseconds.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Runs a tool, and says what went wrong.
pub fn exit(result: std::result::Result<(), Box<dyn std::error::Error>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A percentile in microseconds.
pub fn percentile(histogram: &Histogram<u64>, percent: f64) -> f64 {
    histogram.value_at_percentile(percent) as f64 / 1000.0
}

/// Wall and processor time since the start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Instant,
    processor: Duration,
}

impl Clock {
    /// From now on.
    pub fn start() -> Self {
        Self { wall: Instant::now(), processor: processor_time() }
    }

    /// Microseconds since the start, and how much of a processor this program took meanwhile, in percent.
    pub fn read(&self) -> (f64, f64) {
        let wall = self.wall.elapsed();
        let processor = processor_time().saturating_sub(self.processor);
        (wall.as_secs_f64() * 1e6, 100.0 * processor.as_secs_f64() / wall.as_secs_f64())
    }
}

/// Of all threads of the program.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// A domain of an opened backend.
pub struct Domain {
    pd: *mut NDK_PD,
    opened: Option<Opened<BoxedAdapter, Std>>,
}

// SAFETY: an NDK object may be used from any thread.
unsafe impl Send for Domain {}
// SAFETY: as above.
unsafe impl Sync for Domain {}

impl Domain {
    /// Opens a backend by its name. What pends is run by one thread.
    ///
    /// # Errors
    /// The backend's.
    pub fn open(backend: &str) -> std::result::Result<Self, Box<dyn std::error::Error>> {
        let version = NDK_VERSION { Major: 1, Minor: 2 };
        let executor = Arc::new(ThreadPool::new(1)?);
        let opened = crate::backends().open(backend, executor, version)?;
        // SAFETY: the adapter was just opened.
        let pd = unsafe { table::create_pd(opened.adapter().as_ndk().as_ptr())? };
        Ok(Self { pd, opened: Some(opened) })
    }

    /// Makes a region.
    ///
    /// # Errors
    /// The backend's.
    pub fn region(&self) -> Result<Region> {
        let (ticket, mut mr) = (Ticket::default(), null_mut());
        // SAFETY: the domain is open, and the ticket stays until the request is over.
        let status = unsafe {
            let entry = (*(*self.pd).Dispatch).NdkCreateMr.expect(table::EVERY_TABLE);
            entry(self.pd, FALSE, Some(create_done), ticket.context(), &mut mr)
        };
        Error::check(ticket.wait(status), "a region")?;
        let mr = if status == STATUS_PENDING { ticket.object().cast() } else { mr };
        Ok(Region(NonNull::new(mr).expect("a creation that succeeds gives an object (A1)")))
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        // SAFETY: open until now; the tools close their regions before.
        let closed = unsafe { table::close_pd(self.pd) }.wait();
        let adapter = self.opened.take().map(Opened::close);
        if closed.is_err() || adapter.is_some_and(|closed| closed.is_err()) {
            eprintln!("the backend could not be closed");
        }
    }
}

/// When a request's entry returned, when it was over, and whether it was over then.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// The call.
    pub call: Duration,
    /// The call and what was waited for after it.
    pub total: Duration,
    /// It completed inline.
    pub inline: bool,
}

/// A region, closed when it is dropped.
pub struct Region(NonNull<NDK_MR>);

// SAFETY: an NDK object may be used from any thread.
unsafe impl Send for Region {}

impl Region {
    fn timed(ticket: &Ticket, request: impl FnOnce() -> NTSTATUS) -> Result<Took> {
        let start = Instant::now();
        let returned = request();
        let call = start.elapsed();
        let status = ticket.wait(returned);
        let inline = returned != STATUS_PENDING;
        let total = if inline { call } else { start.elapsed() };
        Error::check(status, "").map(|()| Took { call, total, inline })
    }

    /// Registers all of `mdl` for local writes, as Microsoft's tools do. The ticket is this thread's.
    ///
    /// # Errors
    /// The backend's.
    ///
    /// # Safety
    /// The memory stays until the registration has ended.
    #[inline]
    pub unsafe fn register(&self, mdl: &Mdl, ticket: &Ticket) -> Result<Took> {
        let (mr, flags) = (self.0.as_ptr(), NDK_MR_FLAG_ALLOW_LOCAL_WRITE);
        // SAFETY: the region is open, and the caller's promise.
        unsafe {
            let entry = (*(*mr).Dispatch).NdkRegisterMr.expect(table::EVERY_TABLE);
            Self::timed(ticket, || {
                entry(mr, mdl.as_ptr(), mdl.len(), flags, Some(request_done), ticket.context())
            })
        }
    }

    /// Ends the registration.
    ///
    /// # Errors
    /// The backend's.
    #[inline]
    pub fn deregister(&self, ticket: &Ticket) -> Result<Took> {
        let mr = self.0.as_ptr();
        // SAFETY: the region is open.
        unsafe {
            let entry = (*(*mr).Dispatch).NdkDeregisterMr.expect(table::EVERY_TABLE);
            Self::timed(ticket, || entry(mr, Some(request_done), ticket.context()))
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let (mr, ticket) = (self.0.as_ptr(), Ticket::default());
        // SAFETY: open until now.
        let status = unsafe {
            let entry = (*(*mr).Dispatch).NdkCloseMr.expect(table::EVERY_TABLE);
            entry(mr.cast(), Some(close_done), ticket.context())
        };
        debug_assert_eq!(ticket.wait(status), STATUS_SUCCESS, "H1");
    }
}
