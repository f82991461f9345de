//! What a kit would run on its device, without running it.

use super::case::{RouteKind, Ways};
use super::cases;
use super::kit::Kit;
use super::run::probe;
use crate::error::Result;
use std::sync::Arc;

/// A case as a kit would run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The ID of the rule.
    pub rule: &'static str,
    /// The case's name.
    pub case: &'static str,
    /// The routes that it takes.
    pub routes: Vec<&'static str>,
    /// The ways of completing that it tries; empty where it has its own.
    pub ways: Vec<&'static str>,
    /// Why it is left out on this device; `None` where it runs.
    pub left_out: Option<&'static str>,
}

impl Planned {
    /// How many tests of the harness the case is.
    pub fn tests(&self) -> usize {
        self.routes.len() * self.ways.len().max(1)
    }
}

impl Kit {
    /// Opens the device once to find out what it has, and gives every case in the contract's order. Runs none.
    ///
    /// # Errors
    /// The factory's, and those of a device on which nothing could be tested.
    pub fn plan(self) -> Result<Vec<Planned>> {
        let device = probe(&Arc::new(self))?;
        let planned = cases::all().map(|case| {
            let routes = RouteKind::ALL.into_iter().filter(|&route| case.routes.has(route));
            let ways: &[_] = if case.ways == Ways::Own { &[] } else { case.ways.list() };
            Planned {
                rule: case.id,
                case: case.name,
                routes: routes.map(RouteKind::name).collect(),
                ways: ways.iter().map(|way| way.name()).collect(),
                left_out: case.needs.and_then(|needs| needs(&device)),
            }
        });
        Ok(planned.collect())
    }
}
