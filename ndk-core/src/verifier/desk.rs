//! One verified adapter's desk: it hears from the framework and from the layer, and writes the findings.

use super::contexts::{Context, Contexts};
use super::mapped::is_beyond_memory;
use super::mappings::Mappings;
use super::objects::Objects;
use super::origin::Origin;
use super::shadow::Shadow;
use super::sink::Found;
use super::tokens::Tokens;
use super::waiting::Waits;
use super::{Verifier, rules};
use crate::error::{Error, ErrorKind, Result};
use crate::platform::Std;
use crate::provider::{Event, Finding, Named, Party, Watch};
use crate::sync::Mutex;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::{Arc, Weak};
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use slab::Slab;

/// Tells the adapters of a program apart.
static NEXT: AtomicU64 = AtomicU64::new(1);

pub(super) struct Desk {
    verifier: Verifier,
    number: u64,
    adapter: String,
    objects: Mutex<Std, Objects>,
    contexts: Mutex<Std, Contexts>,
    /// How many requests those are of, so that where none pends nobody need look.
    in_progress: AtomicUsize,
    pub(super) tokens: Tokens,
    pub(super) waits: Waits,
    pub(super) shadows: Mutex<Std, Slab<Weak<Shadow>>>,
    pub(super) mappings: Mutex<Std, Mappings>,
}

impl Desk {
    pub(super) fn new(verifier: Verifier, adapter: String) -> Self {
        Self {
            verifier,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            adapter,
            objects: Mutex::new(Objects::default()),
            contexts: Mutex::new(Contexts::default()),
            in_progress: AtomicUsize::new(0),
            tokens: Tokens::new(),
            waits: Waits::new(),
            shadows: Mutex::new(Slab::new()),
            mappings: Mutex::new(Mappings::default()),
        }
    }

    pub(super) fn limit(&self) -> Duration {
        self.verifier.limit
    }

    pub(super) fn fails(&self) -> bool {
        self.verifier.fails()
    }

    /// The name of an object; the adapter's where the number is 0.
    pub(super) fn name_of(&self, id: u64) -> String {
        if id == 0 {
            return self.adapter.clone();
        }
        let known = self.objects.lock().get(id).map(|object| object.name.clone());
        known.unwrap_or_else(|| format!("{}, object {id}", self.adapter))
    }

    /// A mistake of the consumer's, by the first of the rules.
    pub(super) fn consumer(&self, rules: Vec<&'static str>, id: u64, did: String) {
        let right = rules::right(rules[0]);
        self.put(Party::Consumer, rules, right, id, did);
    }

    /// A mistake of the provider's.
    pub(super) fn provider(&self, rules: Vec<&'static str>, id: u64, did: String) {
        let right = rules::providers_right(rules[0]);
        self.put(Party::Provider, rules, right, id, did);
    }

    fn put(
        &self,
        party: Party,
        rules: Vec<&'static str>,
        right: &'static str,
        id: u64,
        did: String,
    ) {
        let name = self.name_of(id);
        let origin = self.objects.lock().get(id).and_then(|object| object.origin.clone());
        let found =
            Found { adapter: self.number, object: id, party, rules, name, did, right, origin };
        self.verifier.sink.put(found, self.verifier.policy);
    }

    /// What a call that is a mistake is refused with, where it is to be.
    pub(super) fn refuse(&self, rule: &'static str, did: &str) -> Result<()> {
        match self.fails() {
            true => Err(Error::new(ErrorKind::InvalidParameter, did.to_string()).rule(rule)),
            false => Ok(()),
        }
    }

    /// What used these mappings is over.
    pub(super) fn end_use(&self, used: &[u64]) {
        if !used.is_empty() {
            self.mappings.lock().end(used);
        }
    }

    /// The region whose token a peer's send has invalidated.
    pub(super) fn of_remote(&self, token: u32) -> Option<Arc<Shadow>> {
        let shadows = self.shadows.lock();
        let mut shadows = shadows.iter().filter_map(|(_, shadow)| shadow.upgrade());
        shadows.find(|shadow| shadow.remote_token() == token)
    }

    /// A region's request is over.
    pub(super) fn end_request(&self, id: u64) {
        if self.in_progress.load(Ordering::Acquire) > 0 {
            self.with_contexts(|contexts| contexts.end(id));
        }
    }

    fn with_contexts<R>(&self, act: impl FnOnce(&mut Contexts) -> R) -> R {
        let mut contexts = self.contexts.lock();
        let outcome = act(&mut contexts);
        self.in_progress.store(contexts.len(), Ordering::Release);
        outcome
    }

    /// One that ends in its entry calls nobody back, so that its context is not noted.
    fn starting(&self, id: u64, call: &str, context: Context) -> Result<()> {
        if self.in_progress.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        match self.with_contexts(|contexts| contexts.start(id, context)) {
            Some(owner) => self.refuse("V7", &self.shares_context(id, call, owner)),
            None => Ok(()),
        }
    }

    fn pending(&self, id: u64, call: &str, context: Context) {
        if self.verifier.shared_contexts {
            return;
        }
        if let Some(owner) = self.with_contexts(|contexts| contexts.pend(id, context)) {
            self.shares_context(id, call, owner);
        }
    }

    fn shares_context(&self, id: u64, call: &str, owner: u64) -> String {
        let owner = self.name_of(owner);
        let did =
            format!("{call} with the routine and context of a request in progress on {owner}");
        self.consumer(vec!["V7"], id, did.clone());
        did
    }

    fn left_open(&self, id: u64, waited: Option<Duration>, closing: bool) -> Result<()> {
        // One whose Close was called is not the consumer's to close.
        if closing || waited.is_some_and(|waited| waited < self.limit()) {
            return Ok(());
        }
        let did = match waited {
            Some(_) => "it is open, and the close of the adapter waits for it",
            None => "it was open when the adapter was dropped",
        };
        self.consumer(vec!["V6", "H5"], id, did.into());
        match (waited, self.fails()) {
            (Some(_), true) => {
                let cause = format!("{} is still open", self.name_of(id));
                Err(Error::new(ErrorKind::DeviceBusy, cause).rule("V6"))
            }
            _ => Ok(()),
        }
    }
}

impl Watch for Desk {
    fn creating(&self) -> u64 {
        if !self.verifier.backtraces {
            return 0;
        }
        let origin = Arc::new(Origin::capture());
        self.objects.lock().creating(origin)
    }

    fn see(&self, object: &Named<'_>, event: Event<'_>) -> Result<()> {
        let id = object.id;
        match event {
            Event::Made(creation) => {
                self.objects.lock().made(id, object.name.to_string(), creation);
            }
            Event::Closed => {
                self.end_request(id);
                self.objects.lock().closed(id);
            }
            Event::Gone => self.objects.lock().gone(id),
            Event::Leaked => {
                self.end_request(id);
                let shadows = self.shadows.lock();
                let leaked = shadows.iter().filter_map(|(_, shadow)| shadow.upgrade());
                leaked.filter(|shadow| shadow.id() == id).for_each(|shadow| shadow.leak());
            }
            Event::Failed => self.end_request(id),
            Event::Refused { call, error } => {
                let broken = rules::of_refusal(id == 0, call, error);
                if !broken.is_empty() {
                    self.consumer(broken, id, format!("{call}: {}", error.detail()));
                }
            }
            Event::Starting { call, routine, context } => {
                return self.starting(id, call, (routine, context));
            }
            Event::Pending { call, routine, context } => self.pending(id, call, (routine, context)),
            Event::NoToken { closing: true } => {
                self.consumer(vec!["V3", "H7"], id, "its token was asked for after Close".into());
            }
            Event::NoToken { closing: false } => {
                let did = "its token was asked for while it has none";
                self.consumer(vec!["V11", "E1"], id, did.into());
            }
            Event::Length { call, buffer, length } => {
                if is_beyond_memory(buffer, length) {
                    let did = format!(
                        "{call} with a length of {length} bytes, more than there is memory"
                    );
                    self.consumer(vec!["V10"], id, did.clone());
                    return self.refuse("V10", &did);
                }
            }
            Event::LeftOpen { waited, closing } => return self.left_open(id, waited, closing),
        }
        Ok(())
    }

    fn broken(&self, rules: &'static [&'static str], id: u64, did: String) {
        self.provider(rules.to_vec(), id, did);
    }

    fn findings(&self) -> Vec<Finding> {
        self.verifier.sink.findings(|adapter| adapter == self.number)
    }
}
