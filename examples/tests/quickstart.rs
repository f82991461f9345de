//! The quickstart succeeds on every device that behaves as it declares, and says what that is.

use std::path::PathBuf;
use std::process::Command;

/// `cargo test` builds the examples beside the tests.
fn quickstart() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let target = test.parent().and_then(|deps| deps.parent()).expect("the target directory");
    let name = format!("quickstart{}", std::env::consts::EXE_SUFFIX);
    let path = target.join("examples").join(name);
    assert!(path.exists(), "cargo build --examples makes {}", path.display());
    path
}

/// What it prints; it must succeed.
fn run(backend: &str, more: &[&str]) -> String {
    let output = Command::new(quickstart()).args(["--backend", backend]).args(more).output();
    let output = output.expect("the quickstart runs");
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{backend}:\n{out}{err}");
    assert!(out.ends_with("all is as it should be\n"), "{backend}:\n{out}");
    out.into_owned()
}

#[test]
fn it_succeeds_on_every_declared_shape() {
    for (backend, lines) in [
        ("sim", ["declares nothing that limits", "may only write: STATUS_ACCESS_VIOLATION"]),
        // Whatever it does wrong would fail; that an old token is dead it shows on purpose.
        (
            "verify(policy=fail)+sim",
            ["declares nothing that limits", "may only write: STATUS_ACCESS_VIOLATION"],
        ),
        ("sim?keys=one", ["declares one key for both sides\n", "STATUS_ACCESS_VIOLATION"]),
        ("sim?rotate=true", ["declares tokens that rotate\n", "read them through it"]),
        ("sim?profile=rxe", ["no pages that lie apart", "read them through it"]),
        (
            "sim?profile=siw",
            ["reads without the right", "may only write: let through, as declared"],
        ),
        ("sim?profile=mlx5", ["tokens that can be guessed", "STATUS_ACCESS_VIOLATION"]),
        (
            "sim?profile=iwarp",
            ["the loss of the connection", "past the end of the file: STATUS_CANCELLED"],
        ),
    ] {
        let out = run(backend, &[]);
        for line in lines {
            assert!(out.contains(line), "{backend}: no {line:?} in:\n{out}");
        }
    }
}

#[test]
fn it_reads_a_file_in_chunks() {
    let path = std::env::temp_dir().join(format!("ndk-quickstart-{}", std::process::id()));
    std::fs::write(&path, vec![0x5a; 1_000_001]).expect("a file");
    let file = path.to_str().expect("a plain path");
    let out = run("sim?latency=register:20us", &[file, "--chunk", "65536"]);
    let empty = std::fs::write(&path, [])
        .map(|()| Command::new(quickstart()).arg(file).output().expect("the quickstart runs"));
    std::fs::remove_file(&path).expect("the file");
    assert!(out.contains("read 1000001 bytes in 16 remote reads"), "{out}");
    let empty = empty.expect("a file");
    assert!(!empty.status.success(), "an empty file cannot be registered (C6)");
    assert!(String::from_utf8_lossy(&empty.stderr).contains("C6"));
}

#[test]
fn what_fails_by_plan_is_named() {
    for (fault, error) in [
        (
            "register:1:insufficient-resources",
            "STATUS_INSUFFICIENT_RESOURCES (0xc000009a): NdkRegisterMr",
        ),
        (
            "create-mr:2:insufficient-resources",
            "STATUS_INSUFFICIENT_RESOURCES (0xc000009a): NdkCreateMr",
        ),
    ] {
        let backend = format!("sim?fault={fault}");
        let output = Command::new(quickstart()).args(["--backend", &backend]).output();
        let output = output.expect("the quickstart runs");
        assert!(!output.status.success(), "{fault}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(&format!("error: {error}\n")), "{fault}: {text}");
    }
}
