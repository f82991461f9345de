//! The method of timing: contenders take turns.
//!
//! A machine's speed changes while it measures: its clock, its neighbours, its caches. So the contenders run in short
//! batches, one after another in one process, in an order that rotates with every round, and what is compared is the
//! ratio of two batches of the same round. Medians and quartiles are over rounds.

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::sync::Once;
use std::time::{Duration, Instant};

/// Runs an operation so many times, and says how long that took.
pub type Batch = Box<dyn FnMut(u64) -> Duration>;

/// A batch of one operation.
pub fn repeat(mut operation: impl FnMut() + 'static) -> Batch {
    Box::new(move |count| {
        let start = Instant::now();
        (0..count).for_each(|_| operation());
        start.elapsed()
    })
}

/// One way to do what a question asks about.
pub struct Contender {
    name: String,
    /// Operations that one turn of the batch's loop stands for, all threads together.
    width: u32,
    make: Box<dyn FnOnce() -> Batch>,
}

impl Contender {
    /// What `make` gives does the operation as often as it is told to, having set everything up before.
    pub fn new(name: impl Into<String>, make: impl FnOnce() -> Batch + 'static) -> Self {
        Self { name: name.into(), width: 1, make: Box::new(make) }
    }

    /// Several operations in each turn.
    pub fn wide(self, width: u32) -> Self {
        Self { width, ..self }
    }

    /// The name in tables.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets everything up.
    pub fn make(self) -> Batch {
        (self.make)()
    }
}

/// How long and how often.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Effort {
    /// Rounds; medians are over them.
    pub rounds: usize,
    /// What each batch is made to take, in microseconds.
    pub batch_us: u64,
}

impl Default for Effort {
    fn default() -> Self {
        Self { rounds: 200, batch_us: 1000 }
    }
}

/// What a contender took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Timed {
    /// The contender's name.
    pub name: String,
    /// Nanoseconds for an operation, round by round.
    pub nanoseconds: Vec<f64>,
}

/// Contenders that were timed against each other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// Question and size, such as `pair/16`.
    pub id: String,
    /// The contenders, in the order of the table.
    pub contenders: Vec<Timed>,
}

/// Median and quartiles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quartiles {
    /// A quarter of the rounds is below.
    pub lower: f64,
    /// Half of them.
    pub median: f64,
    /// Three quarters.
    pub upper: f64,
}

impl Quartiles {
    /// Of these values, of which there is at least one.
    pub fn of(values: impl Into<Vec<f64>>) -> Self {
        let mut values = values.into();
        values.sort_by(f64::total_cmp);
        let at = |quarter| values[(values.len() - 1) * quarter / 4];
        Self { lower: at(1), median: at(2), upper: at(3) }
    }
}

impl Measurement {
    fn find(&self, name: &str) -> Option<&Timed> {
        self.contenders.iter().find(|timed| timed.name == name)
    }

    /// Nanoseconds of an operation.
    pub fn nanoseconds(&self, name: &str) -> Option<Quartiles> {
        Some(Quartiles::of(self.find(name)?.nanoseconds.clone()))
    }

    /// The time of one contender over that of another in the same round.
    pub fn ratio(&self, name: &str, reference: &str) -> Option<Quartiles> {
        let (over, under) = (self.find(name)?, self.find(reference)?);
        let ratios = over.nanoseconds.iter().zip(&under.nanoseconds).map(|(a, b)| a / b);
        Some(Quartiles::of(ratios.collect::<Vec<_>>()))
    }
}

/// Starts a thread that sleeps, once. A process with one thread is a special case that no driver is in: the C library
/// takes its locks there without atomic operations, which would flatter the contenders in C.
pub fn have_company() {
    static COMPANY: Once = Once::new();
    COMPANY.call_once(|| {
        std::thread::spawn(|| {
            loop {
                std::thread::park();
            }
        });
    });
}

/// Times the contenders against each other.
pub fn measure(id: &str, contenders: Vec<Contender>, effort: Effort) -> Measurement {
    have_company();
    let names: Vec<_> =
        contenders.iter().map(|contender| (contender.name.clone(), contender.width)).collect();
    let target = Duration::from_micros(effort.batch_us);
    let bar = progress(id, effort.rounds);
    let mut running: Vec<_> = contenders
        .into_iter()
        .map(|contender| {
            let mut batch = contender.make();
            let count = calibrate(&mut batch, target);
            (batch, count)
        })
        .collect();
    let mut timed: Vec<_> = names
        .iter()
        .map(|(name, _)| Timed {
            name: name.clone(),
            nanoseconds: Vec::with_capacity(effort.rounds),
        })
        .collect();
    for round in 0..effort.rounds {
        for turn in 0..running.len() {
            let place = (round + turn) % running.len();
            let (batch, count) = &mut running[place];
            let took = batch(black_box(*count)).as_nanos() as f64;
            let operations = *count as f64 * f64::from(names[place].1);
            timed[place].nanoseconds.push(took / operations);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Measurement { id: id.into(), contenders: timed }
}

/// How many operations take about as long as a batch should. Of several tries the shortest counts: the others waited for a
/// processor.
fn calibrate(batch: &mut Batch, target: Duration) -> u64 {
    let mut count = 1;
    loop {
        let took = (0..3).map(|_| batch(count)).min().expect("there are three");
        if took >= target / 2 {
            let ratio = target.as_secs_f64() / took.as_secs_f64();
            return ((count as f64 * ratio) as u64).max(1);
        }
        count *= 2;
    }
}

fn progress(id: &str, rounds: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:24} {wide_bar} {pos}/{len} rounds, {eta}")
        .expect("the template is valid");
    ProgressBar::new(rounds as u64).with_style(style).with_prefix(id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spin(turns: u64) -> Batch {
        repeat(move || (0..turns).for_each(|turn| _ = black_box(turn)))
    }

    #[test]
    fn a_ratio_is_that_of_the_work() {
        let contenders = vec![
            Contender::new("once", || spin(100)),
            Contender::new("fourfold", || spin(400)),
            Contender::new("wide", || spin(400)).wide(4),
        ];
        let effort = Effort { rounds: 40, batch_us: 200 };
        let measured = measure("test", contenders, effort);
        let ratio = measured.ratio("fourfold", "once").unwrap();
        // Wide limits: this is a test of the arithmetic.
        assert!(ratio.median > 2.0 && ratio.median < 8.0, "{ratio:?}");
        let wide = measured.ratio("wide", "once").unwrap().median;
        assert!(wide > 0.5 && wide < 2.0, "{wide}");
        assert!(measured.ratio("nobody", "once").is_none());
        assert!(measured.contenders.iter().all(|timed| timed.nanoseconds.len() == 40));
    }

    #[test]
    fn quartiles_are_in_order() {
        let quartiles = Quartiles::of((0..101).map(f64::from).collect::<Vec<_>>());
        assert_eq!(quartiles, Quartiles { lower: 25.0, median: 50.0, upper: 75.0 });
    }
}
