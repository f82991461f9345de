//! Where another is faster than what this project offers for the same, and why.

use crate::questions::data::{MEMCPY, READ, READ_ALONE, WRITE, WRITE_ALONE};
use crate::questions::pair::{CONSUMER, SHM, STATIC, TCP, TWIN};
use crate::questions::tokens::BARE;
use crate::questions::writes::SHM_WAYS;
use crate::run::Run;

/// From here on one counts as faster than the other.
const FASTER: f64 = 1.05;

/// A comparison, with what explains it where the other one is faster.
struct Peer {
    question: &'static str,
    ours: &'static [&'static str],
    theirs: &'static [&'static str],
    why: &'static str,
}

const PEERS: [Peer; 8] = [
    Peer {
        question: "pair",
        ours: &[STATIC],
        theirs: &[TWIN],
        why: "The twin does less: its tokens count up, where the simulator draws them at random (E5) and keeps retired \
              ones away (D4); it has no data path, so it waits for no access at work (D3); it counts nothing. Each of \
              these is an atomic operation or more.",
    },
    Peer {
        question: "pair",
        ours: &[STATIC],
        theirs: &[SHM, TCP],
        why: "libfabric takes an address and a length, and copies no page list: its time does not grow with the pages.",
    },
    Peer {
        question: "pair",
        ours: &[CONSUMER],
        theirs: &[TWIN, SHM, TCP],
        why: "The safe consumer keeps memory and region alive whatever becomes of the future, by an allocation for each \
              request. Who counts nanoseconds calls the table.",
    },
    Peer {
        question: "tokens",
        ours: &[STATIC],
        theirs: &[BARE, TWIN],
        why: "The getter checks the object's type and the region's state before it loads the token (A6, H7).",
    },
    Peer {
        question: "create",
        ours: &[STATIC],
        theirs: &[TWIN],
        why: "The framework lists a region in its domain for names and work requests, and the backend makes a region of its \
              own; both are moved into one allocation.",
    },
    Peer {
        question: "data",
        ours: &[WRITE_ALONE, READ_ALONE],
        theirs: &[MEMCPY],
        why: "An access finds a region by its token, checks it, walks its page list, and can be waited for by a \
              deregistration; a copy does none of it. The part does not grow with the size.",
    },
    Peer {
        question: "data",
        ours: &[WRITE, READ],
        theirs: &[MEMCPY],
        why: "A request finds two regions by their tokens, checks both, walks both page lists, and delivers a completion; \
              a copy does none of it. The part does not grow with the size.",
    },
    Peer { question: "writes", ours: &[STATIC], theirs: &SHM_WAYS, why: "" },
];

/// A paragraph for each comparison that the other one wins somewhere.
pub(super) fn paragraphs(run: &Run) -> String {
    let mut text = String::new();
    for peer in &PEERS {
        for ours in peer.ours {
            let lost: Vec<_> =
                peer.theirs.iter().filter_map(|theirs| lost(run, peer, ours, theirs)).collect();
            if !lost.is_empty() {
                text += &wrapped(&format!("*{ours}*: {}. {}", lost.join("; "), peer.why));
            }
        }
    }
    if text.is_empty() {
        text += "Nowhere in this run.\n";
    }
    text
}

/// Where another takes less time, and how many times that ours is.
fn lost(run: &Run, peer: &Peer, ours: &str, theirs: &str) -> Option<String> {
    let prefix = format!("{}/", peer.question);
    let groups = run.measurements.iter().filter(|group| group.id.starts_with(&prefix));
    let lost: Vec<_> = groups
        .filter_map(|group| Some((&group.id, group.ratio(ours, theirs)?.median)))
        .filter(|(_, ratio)| *ratio > FASTER)
        .map(|(id, ratio)| format!("`{id}` {ratio:.2}x"))
        .collect();
    (!lost.is_empty()).then(|| format!("**{theirs}** is faster at {}", lost.join(", ")))
}

/// An item of a list, in lines as long as those of every page.
pub(super) fn wrapped(item: &str) -> String {
    let lines = textwrap::Options::new(120).initial_indent("- ").subsequent_indent("  ");
    textwrap::fill(item, lines.break_words(false)) + "\n"
}
