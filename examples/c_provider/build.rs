//! Builds the provider as its author would.

fn main() {
    const SOURCES: [&str; 11] = [
        "access.c",
        "adapter.c",
        "chain.c",
        "domain.c",
        "fast.c",
        "hooks.c",
        "job.c",
        "mapping.c",
        "region.c",
        "token.c",
        "window.c",
    ];
    const HEADERS: &str = "../../ndk-capi/include";
    println!("cargo:rerun-if-changed=soft.h");
    println!("cargo:rerun-if-changed={HEADERS}");
    SOURCES.iter().for_each(|source| println!("cargo:rerun-if-changed={source}"));
    let mut build = cc::Build::new();
    build.files(SOURCES).include(HEADERS).std("c11");
    build.warnings(true).extra_warnings(true).warnings_into_errors(true).compile("soft");
}
