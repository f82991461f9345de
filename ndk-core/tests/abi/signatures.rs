//! Reads the function types and the dispatch tables out of the C header and of the ABI module.
//!
//! Both come back in one notation, Rust's: `NDK_FN_X(name: type, ...) -> type` for a function type
//! and `NDK_X_DISPATCH { member: type, ... }` for a table.

use std::path::Path;

/// The text of all files of the ABI module, without comments.
pub(crate) fn abi_source() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/abi");
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        for line in std::fs::read_to_string(entry.unwrap().path()).unwrap().lines() {
            text.push_str(line.split("//").next().unwrap());
            text.push('\n');
        }
    }
    text
}

/// Function types of Rust: `pub type NDK_FN_X = unsafe extern "system" fn(...) -> T;`.
pub(crate) fn of_rust(source: &str) -> Vec<String> {
    let one_line = squeeze(source);
    let mut found = Vec::new();
    for item in one_line.split("pub type NDK_FN_").skip(1) {
        let item = item.split(';').next().unwrap();
        let (name, rest) = item.split_once(" = unsafe extern \"system\" fn(").unwrap();
        let (parameters, result) = rest.rsplit_once(')').unwrap();
        let parameters: Vec<_> = list(parameters).collect();
        found.push(format!("NDK_FN_{name}({}){}", parameters.join(", "), result.trim_end()));
    }
    found
}

/// Function types of C: `typedef T(NTAPI *NDK_FN_X)(...);`.
pub(crate) fn of_c(header: &str) -> Vec<String> {
    let one_line = squeeze(&without_comments(header));
    let mut found = Vec::new();
    for item in one_line.split("typedef ").filter(|item| item.contains("(NTAPI *NDK_FN_")) {
        let item = item.split(");").next().unwrap();
        let (result, rest) = item.split_once("(NTAPI *").unwrap();
        let (name, parameters) = rest.split_once(")(").unwrap();
        let parameters: Vec<_> = list(parameters).map(declaration).collect();
        let result = if result == "void" { String::new() } else { format!(" -> {result}") };
        found.push(format!("{name}({}){result}", parameters.join(", ")));
    }
    found
}

/// Dispatch tables of Rust: `pub struct NDK_X_DISPATCH { pub member: Option<T>, ... }`.
pub(crate) fn tables_of_rust() -> Vec<String> {
    let one_line = squeeze(&abi_source());
    let mut found = Vec::new();
    for item in one_line.split("pub struct ").skip(1) {
        // The name first: what follows a structure, up to the next, may name tables too.
        let Some((name, rest)) = item.split_once(" { ") else { continue };
        if !name.ends_with("_DISPATCH") {
            continue;
        }
        let members: Vec<_> =
            list(rest.split('}').next().unwrap()).map(|m| m.replace("pub ", "")).collect();
        found.push(format!("{name} {{ {} }}", members.join(", ")));
    }
    found
}

/// Dispatch tables of C: `typedef struct _NDK_X_DISPATCH { T member; ... }`.
pub(crate) fn tables_of_c(header: &str) -> Vec<String> {
    let one_line = squeeze(&without_comments(header));
    let mut found = Vec::new();
    for item in one_line.split("typedef struct _").skip(1) {
        // The name first: what follows a structure, up to the next, may name tables too.
        let Some((name, rest)) = item.split_once(" { ") else { continue };
        if !name.ends_with("_DISPATCH") {
            continue;
        }
        let members = rest.split('}').next().unwrap().split(';').map(str::trim);
        let members: Vec<_> = members.filter(|m| !m.is_empty()).map(declaration).collect();
        found.push(format!("{name} {{ {} }}", members.join(", ")));
    }
    found
}

/// A declaration of C in Rust's notation: `const NDK_SGE *pSgl` is `pSgl: *const NDK_SGE`.
fn declaration(text: &str) -> String {
    let text = text.strip_suffix("[]").map_or(text.to_owned(), |array| array.replace(' ', " *"));
    let at = text.rfind([' ', '*']).unwrap() + 1;
    let (ty, name) = (text[..at].trim(), &text[at..]);
    let stars = ty.matches('*').count();
    let base = ty.trim_end_matches('*').trim();
    let (constant, base) = match base.strip_prefix("const ") {
        Some(base) => (true, base),
        None => (false, base),
    };
    let ty = match stars {
        // A function may be null; a `const` parameter that is no pointer says nothing to its
        // caller.
        0 if base.starts_with("NDK_FN_") => format!("Option<{base}>"),
        0 => base.to_owned(),
        1 if constant => format!("*const {base}"),
        _ => format!("{}{base}", "*mut ".repeat(stars)),
    };
    format!("{name}: {ty}")
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn without_comments(header: &str) -> String {
    let mut text = String::new();
    for part in header.split("*/") {
        text.push_str(part.split("/*").next().unwrap());
    }
    text
}
