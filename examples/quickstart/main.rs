//! The life of a memory region, told line by line: a file is registered, a peer reads it remotely and writes an answer
//! back, bad accesses are refused as the device declares it, and everything is closed in an awkward order.
//!
//! `cargo run --example quickstart -- [FILE] [--backend NAME] [-v]`

mod refusals;

use clap::Parser;
use common::table;
use futures_lite::future::{block_on, zip};
use indicatif::{ProgressBar, ProgressStyle};
use ndk_core::abi::*;
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{
    Access, BoxedAdapter, DomainRef, ErrorKind, FastMemory, LocalToken, Opened, QueueDepths,
    QueuePair, RegionRef, RemoteAddress, RemoteToken, Sge, Std, ThreadPool, WorkCompletion,
};
use sha2::{Digest, Sha256};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::ptr::NonNull;
use std::sync::Arc;

type Queue = QueuePair<BoxedAdapter, Std>;
type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Where a progress bar begins to be of use.
const LARGE_FILE: u64 = 32 << 20;

#[derive(Parser)]
#[command(about = "Registers a file, has a peer read it remotely, and shows what happens")]
struct Arguments {
    /// The file to register
    #[arg(default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../LICENSE-APACHE"))]
    file: PathBuf,
    /// The backend by name; both ends of the connection are opened with it
    #[arg(long, default_value = "sim")]
    backend: String,
    /// How many bytes the peer reads at a time
    #[arg(long, default_value_t = 64 * 1024, value_parser = clap::value_parser!(u32).range(1..))]
    chunk: u32,
    /// Show the log; twice for all of it
    #[arg(short, action = clap::ArgAction::Count)]
    verbose: u8,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let level = ["error", "info", "trace"][usize::from(arguments.verbose.min(2))];
    env_logger::Builder::new().parse_filters(level).init();
    match run(&arguments) {
        Ok(()) => {
            println!("all is as it should be");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One end: an opened adapter with a protection domain.
struct End {
    name: &'static str,
    opened: Opened<BoxedAdapter, Std>,
    pd: *mut NDK_PD,
}

/// A region with the memory it was registered over.
struct Region {
    mr: *mut NDK_MR,
    buffer: Buffer,
    /// Keeps the page list for as long as the region is registered.
    _mdl: Mdl,
}

fn run(arguments: &Arguments) -> Outcome {
    let content = std::fs::read(&arguments.file)
        .map_err(|error| format!("{}: {error}", arguments.file.display()))?;
    if content.is_empty() {
        return Err("the file is empty: a region has at least one byte (C6)".into());
    }
    let backends = common::backends();
    let executor = Arc::new(ThreadPool::new(2)?);
    let open = |name| -> Outcome<End> {
        let version = NDK_VERSION { Major: 1, Minor: 2 };
        let opened = backends.open(&arguments.backend, executor.clone(), version)?;
        let adapter = opened.adapter().as_ndk().as_ptr();
        // SAFETY: the adapter was just opened.
        let pd = unsafe { table::create_pd(adapter)? };
        println!("{name}: opened {:?} as {}", arguments.backend, describe(&opened));
        Ok(End { name, opened, pd })
    };
    let (owner, peer) = (open("owner")?, open("peer ")?);
    println!("owner: declares {}", refusals::declared(&owner.opened.capabilities()));

    let file = owner.register(&content, Access::REMOTE_READ)?;
    let digest = transfer(&owner, &peer, &file, &content, arguments.chunk)?;
    let answer = write_back(&owner, &peer, &digest)?;
    refusals::show(&owner, &peer, &file, &answer)?;
    fast_registration(&owner, &peer, &content)?;
    close(owner, peer, [file, answer])
}

fn describe(opened: &Opened<BoxedAdapter, Std>) -> String {
    // SAFETY: the adapter is open.
    let info = unsafe { opened.adapter().info() };
    format!(
        "NDK {}.{}, vendor {:#06x}, device {:#06x}, up to {} pages in a fast registration",
        info.Version.Major, info.Version.Minor, info.VendorId, info.DeviceId, info.FRMRPageCount
    )
}

impl End {
    /// Registers a copy of `bytes` through the C table.
    fn register(&self, bytes: &[u8], access: Access) -> Outcome<Region> {
        let buffer = Buffer::copy_of(bytes)?;
        let mdl = Mdl::new(&buffer)?;
        // SAFETY: the domain is open, and buffer and MDL are kept until the region is closed.
        let (mr, tokens) = unsafe {
            let mr = table::create_mr(self.pd, false)?;
            table::register(mr, mdl.as_ptr(), mdl.len(), access.flags())?;
            (mr, table::tokens(mr))
        };
        println!(
            "{}: registered {} bytes with {access:?}: local token {:#010x}, remote token {:#010x}",
            self.name,
            buffer.len(),
            tokens.0,
            tokens.1
        );
        Ok(Region { mr, buffer, _mdl: mdl })
    }

    fn domain(&self) -> DomainRef<BoxedAdapter, Std> {
        // SAFETY: the domain is open, and was made by this framework for these types.
        unsafe { DomainRef::from_ndk(NonNull::new(self.pd).expect("a domain was created")) }
    }

    fn queue(&self) -> Outcome<Queue> {
        // SAFETY: the domain is open.
        Ok(block_on(unsafe { self.domain().create_qp(QueueDepths::default()) })?)
    }
}

impl Region {
    fn local(&self, offset: usize, length: usize) -> Sge {
        // SAFETY: the region is open.
        let (token, _) = unsafe { table::tokens(self.mr) };
        Sge {
            address: (self.buffer.address() + offset) as u64,
            length: length as u32,
            token: LocalToken::new(token).expect("a registered region has a local token (E1)"),
        }
    }

    fn remote(&self, offset: usize) -> Outcome<RemoteAddress> {
        // SAFETY: the region is open.
        let (_, token) = unsafe { table::tokens(self.mr) };
        let token = RemoteToken::new(token).ok_or("the region has no remote token")?;
        Ok(RemoteAddress { address: (self.buffer.address() + offset) as u64, token })
    }
}

/// A connection of its own: the owner's queue pair and the peer's.
fn connect(owner: &End, peer: &End) -> Outcome<(Queue, Queue)> {
    let (here, there) = (owner.queue()?, peer.queue()?);
    let (to_there, to_here) = (there.endpoint(), here.endpoint());
    let (one, other) = block_on(zip(here.connect(&to_there), there.connect(&to_here)));
    one?;
    other?;
    Ok((here, there))
}

fn finish(queue: &Queue) -> WorkCompletion {
    block_on(queue.completion())
}

fn succeed(queue: &Queue) -> Outcome {
    let completion = finish(queue);
    completion.result.map_err(|kind| format!("{:?} failed: {kind:?}", completion.kind).into())
}

/// The peer reads the file in chunks.
fn transfer(owner: &End, peer: &End, file: &Region, content: &[u8], chunk: u32) -> Outcome<String> {
    let (_here, there) = connect(owner, peer)?;
    let sink = peer.register(&vec![0; content.len()], Access::LOCAL_WRITE | Access::READ_SINK)?;
    let bar = match content.len() as u64 {
        length @ LARGE_FILE.. => ProgressBar::new(length),
        _ => ProgressBar::hidden(),
    };
    bar.set_style(ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec}")?);
    let mut chunks = 0;
    for start in (0..content.len()).step_by(chunk as usize) {
        let length = (content.len() - start).min(chunk as usize);
        there.read(chunks, &[sink.local(start, length)], file.remote(start)?)?;
        succeed(&there)?;
        chunks += 1;
        bar.inc(length as u64);
    }
    bar.finish_and_clear();
    let (sent, received) = (hash(content), hash(&sink.buffer.to_vec()));
    println!("peer : read {} bytes in {chunks} remote reads, SHA-256 {received}", content.len());
    if sent != received {
        return Err("the bytes that the peer read are not those of the file".into());
    }
    println!("owner: the file has the same hash");
    // SAFETY: the region is open, and not used afterwards.
    unsafe { table::close_mr(sink.mr).wait()? };
    Ok(received)
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The peer writes the hash into a region of the owner that allows it.
fn write_back(owner: &End, peer: &End, digest: &str) -> Outcome<Region> {
    let (_here, there) = connect(owner, peer)?;
    let answer = owner.register(&vec![0; digest.len()], Access::REMOTE_WRITE)?;
    let source = peer.register(digest.as_bytes(), Access::LOCAL_READ)?;
    there.write(0, &[source.local(0, digest.len())], answer.remote(0)?)?;
    succeed(&there)?;
    let text = String::from_utf8(answer.buffer.to_vec())?;
    println!("owner: the peer wrote {} bytes: {}...", text.len(), &text[..16]);
    // SAFETY: the region is open, and not used afterwards.
    unsafe { table::close_mr(source.mr).wait()? };
    if text == digest { Ok(answer) } else { Err("the peer wrote something else".into()) }
}

fn failure(queue: &Queue) -> Outcome<ErrorKind> {
    let completion = finish(queue);
    completion.result.err().ok_or_else(|| "the request succeeded and should not have".into())
}

fn name_of(kind: ErrorKind) -> &'static str {
    ndk_core::status_name(kind.status()).unwrap_or("an unknown status")
}

/// A round of fast registration: the pages get logical addresses, a request on the queue pair makes the region's token
/// reach them, another one ends that.
fn fast_registration(owner: &End, peer: &End, content: &[u8]) -> Outcome {
    let adapter = owner.opened.adapter();
    // SAFETY: the adapter is open.
    let limit = unsafe { adapter.info() }.FRMRPageCount;
    if limit == 0 {
        println!("owner: this device has no fast registration");
        return Ok(());
    }
    let (here, there) = connect(owner, peer)?;
    let length = content.len().min(limit.min(16) as usize * PAGE_SIZE);
    let buffer = Buffer::copy_of(&content[..length])?;
    let mdl = Mdl::new(&buffer)?;
    // SAFETY: adapter and domain are open; buffer and MDL outlive mapping and registration.
    let (mr, mapping) = unsafe {
        let mapping =
            table::LogicalMapping::build(adapter.as_ndk().as_ptr(), mdl.as_ptr(), mdl.len())?;
        let mr = table::create_mr(owner.pd, true)?;
        table::initialize_fast_register(mr, mapping.pages().len() as u32, true)?;
        (mr, mapping)
    };
    let memory = FastMemory {
        pages: mapping.pages(),
        first_byte: mapping.first_byte,
        length: length as u64,
        base: buffer.address() as u64,
    };
    let pointer = NonNull::new(mr).expect("a region was created");
    // SAFETY: the region is open, and was made by this framework for these types.
    let region = unsafe { RegionRef::from_ndk(pointer) };
    // SAFETY: the region is open, and the memory outlives the registration.
    unsafe { here.fast_register(0, region, memory, Access::REMOTE_READ)? };
    succeed(&here)?;
    // SAFETY: the region is open.
    let (_, token) = unsafe { table::tokens(mr) };
    println!(
        "owner: fast-registered {length} bytes in {} pages: remote token {token:#010x}",
        mapping.pages().len()
    );
    let remote = RemoteAddress {
        address: buffer.address() as u64,
        token: RemoteToken::new(token).ok_or("a fast-registered region has a remote token")?,
    };
    let sink = peer.register(&vec![0; length], Access::LOCAL_WRITE | Access::READ_SINK)?;
    there.read(0, &[sink.local(0, length)], remote)?;
    succeed(&there)?;
    if sink.buffer.to_vec() != content[..length] {
        return Err("the peer read something else through the fast registration".into());
    }
    println!("peer : read them through it");
    // SAFETY: the region is open.
    unsafe { here.invalidate(1, region)? };
    succeed(&here)?;
    there.read(1, &[sink.local(0, length)], remote)?;
    println!("peer : after the invalidation the same read: {}", name_of(failure(&there)?));
    // SAFETY: the regions are open, and not used afterwards.
    unsafe {
        table::close_mr(mr).wait()?;
        table::close_mr(sink.mr).wait()?;
    }
    Ok(())
}

/// The domains are closed while regions live in them: their close pends until the last region's has completed (H4).
fn close(owner: End, peer: End, regions: [Region; 2]) -> Outcome {
    // SAFETY: each object is open, and not used afterwards.
    unsafe {
        let domain = table::close_pd(owner.pd);
        println!(
            "owner: closed the domain first: {}",
            if domain.is_pending() { "PENDING" } else { "done" }
        );
        if !domain.is_pending() {
            return Err("the domain's close did not wait for its regions".into());
        }
        for region in &regions {
            table::deregister(region.mr)?;
            table::close_mr(region.mr).wait()?;
        }
        domain.wait()?;
        println!("owner: the regions are closed, and with the last one the domain");
        table::close_pd(peer.pd).wait()?;
    }
    for end in [owner, peer] {
        let name = end.name;
        end.opened.close().map_err(|refused| refused.error)?;
        println!("{name}: closed the adapter");
    }
    Ok(())
}
