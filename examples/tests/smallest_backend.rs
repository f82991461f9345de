//! The conformance kit on the smallest backend: the example that vendors start from keeps the contract.

#[path = "../smallest_backend.rs"]
#[allow(dead_code, unreachable_pub)] // its `main` is the example's
mod smallest_backend;

fn main() -> std::process::ExitCode {
    ndk_core::conformance::Kit::new(smallest_backend::CounterAdapter::open).main()
}
