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
    let fake = match prepared() {
        Ok(fake) => fake,
        Err(missing) => {
            assert!(env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, and: {missing}");
            eprintln!("NOT RUN: {missing}");
            return;
        }
    };
    let directory = tempfile::tempdir().unwrap();
    let devices = directory.path().join("sys");
    lay_out(&devices);
    let log = directory.path().join("requests");
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .env("LD_PRELOAD", fake)
        .env("SYSFS_PATH", devices)
        .env("FAKE_MLX5_LOG", &log)
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let printed =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let requests = fs::read_to_string(&log).unwrap_or_default();
    let [stdout, stderr] = printed;
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{test} inside: {}\n{stdout}\n{stderr}\nrequests:\n{requests}",
        output.status
    );
    // What a test has to say is said outside, too.
    stderr.lines().for_each(|line| println!("{line}"));
}

/// The fake kernel's library, or what is missing for a dry run.
fn prepared() -> &'static Result<PathBuf, String> {
    static PREPARED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PREPARED.get_or_init(|| {
        Verbs::get().map_err(|error| error.to_string())?;
        Mlx5::get().map_err(|error| error.to_string())?;
        build(Path::new(env!("CARGO_TARGET_TMPDIR")))
    })
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
