//! Section F: the memory that a request names of its own side, whose bounds are those of a peer's accesses (F1, F2).

use super::super::case::Case;
use super::super::env::Env;
use super::super::memory::Memory;
use super::super::needs::wire;
use super::super::net::{Net, Registered, element, next_context};
use super::f::{ALL, amid};
use crate::abi::*;
use crate::capabilities::BaseAddress;
use crate::mdl::{Buffer, MdlBuilder};
use crate::provider::{Sge, WorkKind};

pub(super) const CASES: &[Case] = &[
    Case::new("F1", "bounds_of_an_element", bounds_of_an_element).needs(wire),
    Case::new("F2", "element_that_wraps", element_that_wraps).needs(wire),
];

impl Net {
    /// Neither as a source nor as a sink is the element let through.
    #[track_caller]
    pub(super) fn names_nothing(&mut self, env: &Env, local: Sge, target: &Registered) {
        let (local, at) = ([local], target.at(0));
        self.refused_locally(env, WorkKind::Write, |port, context| port.write(context, &local, at));
        self.refused_locally(env, WorkKind::Read, |port, context| port.read(context, &local, at));
        let length = local[0].length as usize;
        self.link.owner.receive(next_context(), &[target.element(0, length)]).expect("posted");
        self.refused_locally(env, WorkKind::Send, |port, context| port.send(context, &local, None));
        self.receives_nothing(env, &local, target);
    }

    /// A message of the owner's does not get into these elements of the peer's.
    #[track_caller]
    fn receives_nothing(&mut self, env: &Env, local: &[Sge; 1], target: &Registered) {
        let (before, receive) = (self.snapshot(), next_context());
        self.link.peer.receive(receive, local).expect("posted");
        let from = [target.element(0, local[0].length as usize)];
        let send = next_context();
        self.link.owner.send(send, &from, None).expect("posted");
        let received = env.completion(&*self.link.peer);
        assert_eq!(received.id.context, receive, "whose completion");
        assert!(received.result.is_err(), "F4: the sink of a receive");
        // Which error the sender is told of, if of any, is the device's: it is not its memory.
        let sent = env.completion(&*self.link.owner);
        assert_eq!(sent.id.context, send, "whose completion");
        assert!(self.snapshot() == before, "F1: a refused message changed bytes");
        self.broken(env);
        self.reconnect(env);
    }
}

/// Of one packet on any device: of several, those before the bounds may have been moved.
fn bounds_of_an_element(env: &mut Env) {
    const LENGTH: usize = 500;
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(2 * LENGTH, 0), ALL);
    let memory = env.keep(amid(LENGTH));
    memory.fill(0x4d);
    net.watch(&memory);
    let own = env.register_in(net.peer, memory, ALL | NDK_MR_FLAG_RDMA_READ_SINK);
    let (before, end) = own.outside(&env.device);
    let last = end - LENGTH as isize;
    for (offset, length) in
        [(before, 1), (before, 2), (end, 1), (end - 1, 2), (last, LENGTH + 1), (1 << 40, 8)]
    {
        net.names_nothing(env, element(own.local, own.address(offset), length), &target);
    }
    for (offset, length) in [(0, 1), (LENGTH - 1, 1), (0, LENGTH)] {
        let (port, local) = (&*net.link.peer, [own.element(offset, length)]);
        let write = |context| port.write(context, &local, target.at(0));
        assert!(env.carry_out(port, WorkKind::Write, write).is_ok(), "F1: {length} at {offset}");
        let read = |context| port.read(context, &local, target.at(0));
        assert!(env.carry_out(port, WorkKind::Read, read).is_ok(), "F1: {length} at {offset}");
    }
}

/// As with a peer's accesses, the region is at the bottom of the addresses where the device lets it be there.
fn element_that_wraps(env: &mut Env) {
    let mut net = Net::new(env);
    let target = net.target(env, Memory::new(100, 0), ALL);
    let shape = |builder: MdlBuilder, buffer: &Buffer| builder.buffer(buffer).address(0);
    let memory = env.keep(match env.device.capabilities.base_address {
        BaseAddress::Any => Memory::shaped(PAGE_SIZE, 0, shape),
        BaseAddress::HostOnly => Memory::new(PAGE_SIZE, 0),
    });
    net.watch(&memory);
    let own = env.register_in(net.peer, memory, ALL | NDK_MR_FLAG_RDMA_READ_SINK);
    for (address, length) in [(u64::MAX, 1), (u64::MAX, 2), (u64::MAX - 3, 8), (u64::MAX - 3, 4)] {
        net.names_nothing(env, element(own.local, address, length), &target);
    }
}
