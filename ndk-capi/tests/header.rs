//! The header against the library: names, layout, and that C and C++ take it.
#![cfg(target_os = "linux")]

mod common;

use common::{CXX, Link, Workbench, check, include, library};
use ndk_core::NDKMR_CAPABILITIES;
use ndkmr::{ndkmr_options, ndkmr_part};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol};
use std::collections::BTreeSet;
use std::fs;
use std::mem::{offset_of, size_of};
use std::path::Path;
use std::process::Command;

/// The text without its comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    let after = text.split("/*").skip(1).map(|part| part.split_once("*/").expect("an end").1);
    text.split("/*").take(1).chain(after).collect()
}

/// The names with our prefix that parentheses follow: functions that are declared, or called.
fn functions(code: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    code.match_indices("ndkmr_")
        .filter(|(at, _)| !code[..*at].ends_with(is_name))
        .map(|(at, _)| code[at..].split_once(|c| !is_name(c)).expect("more follows"))
        .filter(|(name, _)| code.contains(&format!("{name}(")))
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn declared() -> BTreeSet<String> {
    let names = functions(&code(&include().join("ndk_mr.h")));
    assert!(names.len() >= 8, "found {names:?} only");
    names
}

fn every_call() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c/every_call.c")
}

#[test]
fn the_shared_library_exports_what_the_header_declares_and_nothing_else() {
    let bytes = fs::read(library(Link::Shared)).expect("the library");
    let file = object::File::parse(&*bytes).expect("an object file");
    let exports = file.exports().expect("its exports");
    let exported: BTreeSet<_> =
        exports.iter().map(|export| String::from_utf8_lossy(export.name()).into_owned()).collect();
    assert_eq!(exported, declared());
}

#[test]
fn the_static_library_has_what_the_header_declares_and_no_name_of_ndks_own() {
    let bytes = fs::read(library(Link::Static)).expect("the library");
    let archive = ArchiveFile::parse(&*bytes).expect("an archive");
    let mut ours = BTreeSet::new();
    for member in archive.members() {
        let data = member.and_then(|member| member.data(&*bytes)).expect("a member");
        let Ok(file) = object::File::parse(data) else { continue };
        for symbol in file.symbols().filter(|symbol| symbol.is_definition() && symbol.is_global()) {
            let name = symbol.name().expect("a name");
            let is_ndks =
                name.to_ascii_lowercase().starts_with("ndk") && !name.starts_with("ndkmr_");
            assert!(!is_ndks, "the library defines {name}, which a consumer may define itself");
            if name.starts_with("ndkmr_") {
                ours.insert(name.to_owned());
            }
        }
    }
    assert_eq!(ours, declared());
}

/// Size and offsets of `NDKMR_CAPABILITIES`, each after a space.
fn capabilities() -> String {
    macro_rules! offsets {
        ($($field:ident)*) => {
            [size_of::<NDKMR_CAPABILITIES>(), $(offset_of!(NDKMR_CAPABILITIES, $field),)*]
        };
    }
    let figures = offsets! {
        AnyBaseAddress ScatteredPages ByteExact RemoteReadEnforced
        ReadSinkGrantsWrite RefusalByCompletion PartialWrites TokenReuseDistance
        TokensUnpredictable SharedKey FastRegistrationPages FastRegistrationRotates
        FastRegistrationEmulated TokenOfOneQueuePair Windows
    };
    figures.iter().map(|figure| format!(" {figure}")).collect()
}

#[test]
fn c_and_cxx_call_every_function_and_see_the_same_layout() {
    assert_eq!(functions(&code(&every_call())), declared(), "not every function is called");
    let expected = format!(
        "ndkmr_options {} {} {} {}\nndkmr_part {} {} {}\nNDKMR_CAPABILITIES{}\n",
        size_of::<ndkmr_options>(),
        offset_of!(ndkmr_options, size),
        offset_of!(ndkmr_options, executor_threads),
        offset_of!(ndkmr_options, reserved),
        size_of::<ndkmr_part>(),
        offset_of!(ndkmr_part, memory),
        offset_of!(ndkmr_part, length),
        capabilities(),
    );
    for flags in [&[][..], &[CXX, "-xc++"][..]] {
        let bench = Workbench::new();
        let program = bench.build("every_call", &[every_call()], Link::Shared, flags);
        let output = Command::new(&program).output().expect("the program starts");
        assert_eq!(check(&output, "every_call"), expected, "{flags:?}");
    }
}
