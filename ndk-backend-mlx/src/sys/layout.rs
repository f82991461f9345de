//! How C structures and constants are declared, so that a test can compare them with the headers.

/// A structure for which all bits zero are a value: numbers, pointers, and functions that may be absent.
///
/// # Safety
/// Every field is such a type.
pub unsafe trait Zeroed: Sized {
    /// The value of all bits zero.
    fn zeroed() -> Self {
        // SAFETY: what an implementor promises.
        unsafe { core::mem::zeroed() }
    }
}

/// Declares structures of C. Fields are named as in C, or after `as` in C's words where a union or a keyword is in the
/// way; one that C has no name for is the empty word. `beginning` marks a structure that the libraries
/// allocate, and of which only the beginning is known here.
macro_rules! c_structs {
    ($($(#[$doc:meta])* $name:ident $(as $c_name:literal)? $(, $rest:ident)? {
        $($field:ident: $type:ty $(as $c_field:literal)?,)*
    })*) => {
        $(
            $(#[$doc])*
            #[repr(C)]
            #[derive(Clone, Copy)]
            pub struct $name {
                $(pub $field: $type,)*
            }

            // SAFETY: the fields of C structures are numbers, pointers, optional functions, and arrays and structures
            // of those.
            unsafe impl $crate::sys::layout::Zeroed for $name {}
        )*

        #[cfg(test)]
        pub(super) const STRUCTS: &[$crate::sys::layout::Struct] = &[$(
            $crate::sys::layout::Struct {
                name: $crate::sys::layout::first(&[$($c_name,)? concat!("struct ", stringify!($name))]),
                size: c_structs!(@size $name $($rest)?),
                fields: &[$((
                    $crate::sys::layout::first(&[$($c_field,)? stringify!($field)]),
                    core::mem::offset_of!($name, $field),
                    $crate::sys::layout::size_behind(|it: *const $name| {
                        // SAFETY: the address of a field is taken, nothing is read.
                        unsafe { &raw const (*it).$field }
                    }),
                ),)*],
            },
        )*];
    };
    (@size $name:ident) => { Some(size_of::<$name>()) };
    (@size $name:ident beginning) => { None };
}

/// Declares constants of C, enumerators and macros alike.
macro_rules! c_constants {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: $type = $value;)*

        #[cfg(test)]
        pub(super) const CONSTANTS: &[(&str, i64)] = &[$((stringify!($name), $name as i64),)*];
    };
}

#[cfg(test)]
pub(super) use tests::{REQUIRED, Struct, first, size_behind};

#[cfg(test)]
mod tests {
    use crate::sys::{cm, device, mlx5, object, queue_pair, work};
    use std::fmt::Write as _;
    use std::process::Command;

    /// A structure as Rust's compiler laid it out; its size is unknown where only its beginning is declared.
    pub(in crate::sys) struct Struct {
        pub(in crate::sys) name: &'static str,
        pub(in crate::sys) size: Option<usize>,
        pub(in crate::sys) fields: &'static [(&'static str, usize, usize)],
    }

    pub(in crate::sys) const fn first(names: &[&'static str]) -> &'static str {
        names[0]
    }

    pub(in crate::sys) const fn size_behind<S, F>(_: fn(*const S) -> *const F) -> usize {
        size_of::<F>()
    }

    const STRUCTS: &[&[Struct]] = &[
        device::STRUCTS,
        object::STRUCTS,
        work::STRUCTS,
        queue_pair::STRUCTS,
        mlx5::STRUCTS,
        cm::STRUCTS,
    ];

    const CONSTANTS: &[&[(&str, i64)]] = &[
        device::CONSTANTS,
        object::CONSTANTS,
        work::CONSTANTS,
        queue_pair::CONSTANTS,
        mlx5::CONSTANTS,
        cm::CONSTANTS,
    ];

    const HEADERS: &[&str] = &["infiniband/verbs.h", "infiniband/mlx5dv.h", "rdma/rdma_cma.h"];

    /// Set where rdma-core must be there, as in CI: without it a test fails rather than says so.
    pub(in crate::sys) const REQUIRED: &str = "NDK_REQUIRE_RDMA_CORE";

    #[derive(Default)]
    struct Program {
        source: String,
        expected: Vec<(String, i64)>,
    }

    impl Program {
        fn expect(&mut self, expression: &str, value: i64) {
            let _ = writeln!(self.source, "printf(\"%lld\\n\", (long long)({expression}));");
            self.expected.push((expression.into(), value));
        }

        fn whole(&self) -> String {
            let includes: String =
                HEADERS.iter().map(|header| format!("#include <{header}>\n")).collect();
            let body = &self.source;
            format!(
                "#include <stddef.h>\n#include <stdio.h>\n{includes}int main(void) {{\n{body}return 0; }}\n"
            )
        }
    }

    fn program() -> Program {
        let mut program = Program::default();
        for of in STRUCTS.iter().copied().flatten() {
            if let Some(size) = of.size {
                program.expect(&format!("sizeof({})", of.name), size as i64);
            }
            for (field, offset, size) in of.fields.iter().filter(|(field, ..)| !field.is_empty()) {
                program.expect(&format!("offsetof({}, {field})", of.name), *offset as i64);
                program.expect(&format!("sizeof((({} *)0)->{field})", of.name), *size as i64);
            }
        }
        for (name, value) in CONSTANTS.iter().copied().flatten() {
            program.expect(name, *value);
        }
        program
    }

    /// Whether the C compiler finds the headers.
    fn has_headers(compiler: &str, directory: &std::path::Path) -> bool {
        let source = directory.join("headers.c");
        let includes = HEADERS.iter().map(|header| format!("#include <{header}>\n"));
        std::fs::write(&source, includes.collect::<String>()).unwrap();
        let output = Command::new(compiler).arg("-fsyntax-only").arg(&source).output();
        output.is_ok_and(|output| output.status.success())
    }

    #[test]
    fn structures_and_constants_are_those_of_the_headers() {
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        let directory = tempfile::tempdir().unwrap();
        if !has_headers(&compiler, directory.path()) {
            let missing =
                "rdma-core's headers are not here (Debian: libibverbs-dev, librdmacm-dev)";
            assert!(std::env::var_os(REQUIRED).is_none(), "{missing}, and {REQUIRED} is set");
            eprintln!("NOT CHECKED: {missing}; the layouts were compared with nothing");
            return;
        }
        let program = program();
        let (source, binary) = (directory.path().join("layout.c"), directory.path().join("layout"));
        std::fs::write(&source, program.whole()).unwrap();
        let built = Command::new(&compiler).arg(&source).arg("-o").arg(&binary).output().unwrap();
        let errors = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{compiler} refuses the program:\n{errors}");
        let printed = String::from_utf8(Command::new(&binary).output().unwrap().stdout).unwrap();
        let figures: Vec<i64> = printed.lines().map(|line| line.parse().unwrap()).collect();
        assert_eq!(figures.len(), program.expected.len());
        let differing: Vec<_> = program
            .expected
            .iter()
            .zip(figures)
            .filter(|((_, ours), theirs)| ours != theirs)
            .map(|((what, ours), theirs)| format!("{what}: {theirs} in C, {ours} here"))
            .collect();
        assert!(differing.is_empty(), "{}", differing.join("\n"));
        assert!(program.expected.len() > 300, "the comparison covers what is declared");
    }
}
