//! Runs calls and compares what they come to with what the model foresees.

use crate::call::{Call, Object};
use crate::model::Model;
use crate::other_calls::tokens;
use crate::world::{Came, World};

const NEW_DOMAIN: Call = Call::CreatePd { object: Object::Right, completion: true, out: true };

/// Makes the calls, those that can be made, and tells `each` what they came to.
///
/// # Panics
/// A call comes to something else than the model says, or something is left at the end.
pub(crate) fn run(calls: &[Call], mut each: impl FnMut(&Call, Came)) {
    let (mut model, mut world) = (Model::default(), World::new());
    model.step(&NEW_DOMAIN);
    world.call(&NEW_DOMAIN);
    for (index, call) in calls.iter().enumerate() {
        if !model.allows(call) {
            continue;
        }
        let expected = model.step(call);
        let came = world.call(call);
        let (came_to, should) = ((came.status, came.pended), (expected.status, expected.pends));
        assert_eq!(came_to, should, "call {index}, {call:?}");
        for (place, &mr) in world.regions.iter().enumerate() {
            // SAFETY: the region is alive.
            let (local, remote) = unsafe { tokens(mr, mr) };
            assert_eq!((local != 0, remote != 0), model.tokens(place), "E1 after {index}");
        }
        each(call, came);
    }
    world.end();
}
