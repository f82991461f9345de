//! Builds C programs against the library as the tests' own build made it.
#![allow(dead_code)] // each test file uses a part of it

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// Which library a program is linked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Shared,
    Static,
}

/// What a static library of Rust needs of Linux; `rustc --print native-static-libs` says so.
const SYSTEM_LIBRARIES: &[&str] = &["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"];

/// The flag that makes [`Workbench::build`] take the sources as C++.
pub(crate) const CXX: &str = "-std=c++11";

/// A place for the programs of one test.
pub(crate) struct Workbench {
    directory: TempDir,
}

impl Workbench {
    pub(crate) fn new() -> Self {
        Self { directory: TempDir::new().expect("a temporary directory") }
    }

    /// Compiles and links a program; panics with what the compiler said where that fails.
    pub(crate) fn build(
        &self,
        name: &str,
        sources: &[PathBuf],
        link: Link,
        flags: &[&str],
    ) -> PathBuf {
        let mut arguments: Vec<_> = sources.iter().map(|path| path.into()).collect();
        match link {
            Link::Shared => {
                let directory = library(Link::Shared).parent().expect("a directory").to_owned();
                arguments.push(format!("-L{}", directory.display()).into());
                arguments.push(format!("-Wl,-rpath,{}", directory.display()).into());
                arguments.push("-lndkmr".into());
            }
            Link::Static => {
                arguments.push(library(Link::Static));
                arguments.extend(SYSTEM_LIBRARIES.iter().map(PathBuf::from));
            }
        }
        arguments.push("-pthread".into());
        let program = self.directory.path().join(name);
        let cxx = flags.contains(&CXX);
        let output = if cxx { compiler("CXX", "c++") } else { compiler("CC", "cc") }
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-O1"])
            .args(if cxx { &[] } else { &["-std=c11"][..] })
            .args(flags)
            .arg(format!("-I{}", include().display()))
            .args(arguments)
            .arg("-o")
            .arg(&program)
            .output()
            .expect("the compiler starts");
        check(&output, "the compiler");
        program
    }

    /// Compiles a source to a library that can be opened at run time.
    pub(crate) fn shared_library(&self, name: &str, source: &Path) -> PathBuf {
        let library = self.directory.path().join(name).with_extension(env::consts::DLL_EXTENSION);
        let output = compiler("CC", "cc")
            .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-g", "-O1", "-std=c11"])
            .args(["-shared", "-fPIC"])
            .arg(format!("-I{}", include().display()))
            .arg(source)
            .arg("-o")
            .arg(&library)
            .output()
            .expect("the compiler starts");
        check(&output, "the compiler");
        library
    }

    /// A file of this name with this text.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::write(&path, text).expect("a temporary file");
        path
    }
}

/// The compiler that an environment variable names, or the system's own.
pub(crate) fn compiler(variable: &str, default: &str) -> Command {
    Command::new(env::var_os(variable).unwrap_or_else(|| default.into()))
}

/// What a program said; panics where it failed.
pub(crate) fn check(output: &Output, who: &str) -> String {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{who}: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

/// The crate's headers.
pub(crate) fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include")
}

/// The library beside the running test, which the same build made.
pub(crate) fn library(link: Link) -> PathBuf {
    let name = match link {
        Link::Shared => {
            format!("{}ndkmr{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX)
        }
        Link::Static => "libndkmr.a".into(),
    };
    let test = env::current_exe().expect("the path of the running test");
    let path = test.parent().expect("a directory").join(name);
    assert!(path.exists(), "{} was not built with the tests", path.display());
    path
}
