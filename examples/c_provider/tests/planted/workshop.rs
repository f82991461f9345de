//! Builds the provider as a library, with changes to its files.

use crate::list::Change;
use libtest_mimic::Failed;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs, io};

/// A folder that goes with this.
pub(crate) struct Workshop(PathBuf);

/// The provider's own folder.
fn provider() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the compiler.
fn compile(files: &[PathBuf], to: &Path, how: &[&str]) -> Result<(), Failed> {
    let compiled = Command::new(env::var("CC").unwrap_or_else(|_| "cc".into()))
        .args(["-std=c11", "-O1", "-w", "-fPIC", "-pthread"])
        .args(how)
        .arg(format!("-I{}", provider().display()))
        .arg(format!("-I{}", provider().join("../../ndk-capi/include").display()))
        .args(files)
        .arg("-o")
        .arg(to)
        .output()?;
    let said = String::from_utf8_lossy(&compiled.stderr).into_owned();
    if compiled.status.success() { Ok(()) } else { Err(said.into()) }
}

impl Workshop {
    pub(crate) fn new(name: &str) -> io::Result<Self> {
        let folder = format!("planted-{}-{name}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// Compiles a file of the provider's, with other text if there is some.
    fn object(&self, name: &str, text: Option<&str>) -> Result<PathBuf, Failed> {
        let mut source = provider().join(name);
        if let Some(text) = text {
            source = self.0.join(name);
            fs::write(&source, text)?;
        }
        let object = self.0.join(format!("{name}.o"));
        compile(&[source], &object, &["-c"])?;
        Ok(object)
    }

    /// Builds the library and gives its path. What no change is in is compiled once for all.
    pub(crate) fn build(&self, sound: &Sound, changes: &[Change]) -> Result<PathBuf, Failed> {
        let mut changed = BTreeMap::new();
        for &(name, from, to) in changes {
            let text = match changed.remove(name) {
                Some(text) => text,
                None => fs::read_to_string(provider().join(name))?,
            };
            changed.insert(name, text.replacen(from, to, 1));
        }
        let mut objects = sound.objects()?.clone();
        for (name, text) in &changed {
            objects.insert((*name).into(), self.object(name, Some(text))?);
        }
        let library = self.0.join("soft.so");
        let objects: Vec<_> = objects.into_values().collect();
        compile(&objects, &library, &["-shared", "-Wl,-Bsymbolic"])?;
        Ok(library)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What is left is in the build's own folder.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The object files of the provider as it is, by the names of their sources.
pub(crate) struct Sound(Workshop, OnceLock<Result<BTreeMap<String, PathBuf>, Failed>>);

impl Sound {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Workshop::new("sound-objects")?, OnceLock::new()))
    }

    fn objects(&self) -> Result<&BTreeMap<String, PathBuf>, Failed> {
        let compile = || {
            let mut objects = BTreeMap::new();
            for file in fs::read_dir(provider())? {
                let name = file?.file_name().to_string_lossy().into_owned();
                if name.ends_with(".c") && name != "by_name.c" {
                    let object = self.0.object(&name, None)?;
                    objects.insert(name, object);
                }
            }
            Ok(objects)
        };
        self.1.get_or_init(compile).as_ref().map_err(Failed::clone)
    }
}
