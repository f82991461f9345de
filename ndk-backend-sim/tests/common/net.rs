//! Two adapters with a domain each, and two queue pairs that are connected.

use super::{Host, Mr, Pd, Qp, connect};
use ndk_backend_sim::Profile;
use ndk_backend_sim::plan::Plan;

pub(crate) struct Net {
    pub(crate) a: Host,
    pub(crate) b: Host,
    pub(crate) here: Pd,
    pub(crate) there: Pd,
    pub(crate) qp: Qp,
    pub(crate) peer: Qp,
}

impl Net {
    pub(crate) fn new() -> Self {
        Self::of(&Profile::default())
    }

    /// Adapters of a profile.
    pub(crate) fn of(profile: &Profile) -> Self {
        Self::with(Host::pair(profile))
    }

    /// The first adapter follows a plan.
    pub(crate) fn planned(plan: &str) -> Self {
        let plan = plan.parse().expect("a plan");
        Self::with(Host::planned_pair(&Profile::default(), &plan, &Plan::default()))
    }

    /// Both adapters follow a plan.
    pub(crate) fn planned_at_both(plan: &str) -> Self {
        let plan = plan.parse().expect("a plan");
        Self::with(Host::planned_pair(&Profile::default(), &plan, &plan))
    }

    fn with((a, b): (Host, Host)) -> Self {
        let (here, there) = (a.pd(), b.pd());
        let (qp, peer) = connect(&here, &there);
        Self { a, b, here, there, qp, peer }
    }

    /// Other queue pairs of the same domains: a refusal has broken those before (F6).
    pub(crate) fn reconnect(&mut self) {
        let (qp, peer) = connect(&self.here, &self.there);
        std::mem::replace(&mut self.qp, qp).close();
        std::mem::replace(&mut self.peer, peer).close();
    }

    /// Closes the regions that are left, and then everything else, of which nothing may be left.
    pub(crate) fn finish(self, regions: impl IntoIterator<Item = Mr>) {
        regions.into_iter().for_each(Mr::close);
        self.qp.close();
        self.peer.close();
        self.here.close();
        self.there.close();
        self.a.close();
        self.b.close();
    }
}
