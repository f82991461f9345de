//! Builds the hand-written table, and what calls libfabric where that is installed.

fn main() {
    println!("cargo:rerun-if-changed=c");
    println!("cargo:rustc-check-cfg=cfg(libfabric, valgrind)");
    c().file("c/twin.c").compile("twin");
    // Its headers alone: what they define are no calls, but instructions that valgrind knows.
    if let Ok(found) = pkg_config::Config::new().cargo_metadata(false).probe("valgrind") {
        println!("cargo:rustc-cfg=valgrind");
        c().file("c/counted.c").includes(found.include_paths).compile("counted");
    }
    // The linker wants the library behind what calls it, so its flags are printed last.
    let mut libfabric = pkg_config::Config::new();
    libfabric.atleast_version("1.11").cargo_metadata(false);
    if let Ok(found) = libfabric.probe("libfabric") {
        println!("cargo:rustc-cfg=libfabric");
        println!("cargo:rustc-env=LIBFABRIC_VERSION={}", found.version);
        c().file("c/fabric.c").includes(found.include_paths).compile("through_libfabric");
        libfabric.cargo_metadata(true).probe("libfabric").expect("it was there just now");
    }
}

/// The same for every profile of Cargo's: the reference is always optimised, and never inlined into its callers.
fn c() -> cc::Build {
    let mut build = cc::Build::new();
    build.opt_level(3).debug(true).std("c11").flag_if_supported("-fno-lto").pic(true);
    build
        .include("../ndk-capi/include")
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(true);
    build
}
