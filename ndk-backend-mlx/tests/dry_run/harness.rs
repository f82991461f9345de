//! Runs a test in a process of its own, over unmodified libibverbs and libmlx5 and a kernel that only answers.

use crate::fake::Fake;
use ndk_backend_mlx::sys::load::{Mlx5, Verbs};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

/// Set where the dry run must not be left out, as in CI.
const REQUIRED: &str = "NDK_REQUIRE_RDMA_CORE";
/// Set in the process that a test runs in.
const INSIDE: &str = "NDK_DRY_RUN";

/// Runs `body` inside. `settings` are the fake kernel's, as it reads them from the environment.
pub(crate) fn dry_run(test: &str, settings: &[(&str, &str)], body: impl FnOnce(Fake)) {
    if env::var_os(INSIDE).is_some() {
        return body(Fake::loaded());
    }
    let Some(fake) = prepared() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    let log = directory.path().join("requests");
    command.env("FAKE_MLX5_LOG", &log);
    let run = run_inside(command, test, fake, directory.path(), settings);
    if let Err(failure) = run {
        let requests = fs::read_to_string(&log).unwrap_or_default();
        panic!("{failure}\nrequests:\n{requests}");
    }
}

/// Runs `body` inside, and counts the instructions of all its threads in user space.
pub(crate) fn instructions(
    test: &str,
    settings: &[(&str, &str)],
    body: impl FnOnce(Fake),
) -> Option<u64> {
    if env::var_os(INSIDE).is_some() {
        body(Fake::loaded());
        return None;
    }
    let fake = prepared()?;
    if Command::new("valgrind").arg("--version").output().is_err() {
        missing("valgrind is not here (Debian: valgrind)");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("valgrind");
    let out = directory.path().join("callgrind.out");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(env::current_exe().unwrap()).arg("--ignored");
    let said = run_inside(command, test, fake, directory.path(), settings).unwrap();
    let collected = said.lines().find_map(|line| line.split("Collected : ").nth(1));
    Some(collected.expect("callgrind says what it counted").trim().parse().unwrap())
}

/// Runs a test in a process of its own; what it says on standard error, or all that it says where it fails.
fn run_inside(
    mut command: Command,
    test: &str,
    fake: &Path,
    directory: &Path,
    settings: &[(&str, &str)],
) -> Result<String, String> {
    let devices = directory.join("sys");
    lay_out(&devices);
    let output = command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .env("LD_PRELOAD", fake)
        .env("SYSFS_PATH", devices)
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let printed =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let [stdout, stderr] = printed;
    if !output.status.success() || !stdout.contains("1 passed") {
        return Err(format!("{test} inside: {}\n{stdout}\n{stderr}", output.status));
    }
    // What a test has to say is said outside, too.
    stderr.lines().for_each(|line| println!("{line}"));
    Ok(stderr)
}

/// Something that a dry run needs is not on this machine.
fn missing(what: &str) {
    assert!(env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and: {what}");
    eprintln!("NOT RUN: {what}");
}

/// The fake kernel's library; nothing, said aloud, where something is missing for a dry run.
fn prepared() -> Option<&'static Path> {
    static PREPARED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let prepared = PREPARED.get_or_init(|| {
        Verbs::get().map_err(|error| error.to_string())?;
        Mlx5::get().map_err(|error| error.to_string())?;
        build(Path::new(env!("CARGO_TARGET_TMPDIR")))
    });
    prepared.as_deref().inspect_err(|what| missing(what)).ok()
}

/// Builds the fake kernel; where there is no compiler, or no kernel headers for it, says so.
fn build(directory: &Path) -> Result<PathBuf, String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dry_run/fake_mlx5");
    let mut files: Vec<OsString> = fs::read_dir(sources)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .map(PathBuf::into_os_string)
        .collect();
    files.sort();
    // Built under a name of its own: another run may be using the library.
    let library = directory.join("fake_mlx5.so");
    let built = directory.join(format!("fake_mlx5.so.{}", std::process::id()));
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".into());
    let output = Command::new(&compiler)
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o"])
        .arg(&built)
        .args(files)
        .output()
        .map_err(|error| format!("there is no C compiler ({compiler}: {error})"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.contains("rdma/") && errors.contains("No such file") {
        return Err("the kernel's headers are not here (Debian: linux-libc-dev)".into());
    }
    assert!(output.status.success(), "the fake kernel does not build:\n{errors}");
    fs::rename(built, &library).unwrap();
    Ok(library)
}

/// The files of sysfs from which libibverbs learns of a device. The numbers in `dev` are those of /dev/zero.
fn lay_out(root: &Path) {
    let modalias = "pci:v000015B3d00001017sv000015B3sd00000007bc02sc00i00";
    let files = [
        ("class/infiniband_verbs/abi_version", "6"),
        ("class/infiniband_verbs/uverbs0/abi_version", "1"),
        ("class/infiniband_verbs/uverbs0/dev", "1:5"),
        ("class/infiniband_verbs/uverbs0/ibdev", "mlx5_0"),
        ("class/infiniband_verbs/uverbs0/device/modalias", modalias),
        ("class/infiniband/mlx5_0/node_guid", "0002:c903:0000:0001"),
        ("class/infiniband/mlx5_0/node_type", "1: CA"),
        ("class/infiniband/mlx5_0/fw_ver", "16.35.2000"),
        ("class/infiniband/mlx5_0/device/modalias", modalias),
        ("class/infiniband/mlx5_0/ports/1/pkeys/0", "0xffff"),
    ];
    for (path, content) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{content}\n")).unwrap();
    }
    fs::create_dir_all(root.join("class/infiniband/mlx5_0/device/infiniband_verbs/uverbs0"))
        .unwrap();
}
