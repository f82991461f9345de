//! What a plan asks of the simulator, seen by a consumer: through the C table, and in work requests. Time is a manual
//! clock's, and everything that pends runs on the test's own thread.
#[path = "../common/mod.rs"]
mod common;

mod cancel;
mod faults;
mod flush;
mod latency;
mod limits;
mod loss;
mod work;
