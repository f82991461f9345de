//! The device's objects, owned. Dropping one is a kernel call, so it is done on the pool's threads; in a forked child,
//! whose objects they are not, nothing is done.

use crate::device::Device;
use crate::errno::Errno;
use crate::memory::HostRange;
use crate::mlx5::limits::key_attributes;
use crate::sys::inline::{ibv_alloc_mw, ibv_dealloc_mw};
use crate::sys::load::Mlx5;
use crate::sys::mlx5::mlx5dv_mkey;
use crate::sys::object::{IBV_MW_TYPE_2, ibv_mr, ibv_mw, ibv_pd};
use ndk_core::{Error, ErrorKind, Result};
use std::ptr::NonNull;
use std::sync::Arc;

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident($raw:ty) of $owner:ty = $what:literal, $destroy:expr;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name {
            raw: NonNull<$raw>,
            /// Kept until the object is gone.
            owner: Arc<$owner>,
        }

        // SAFETY: libibverbs takes calls about its objects on any thread.
        unsafe impl Send for $name {}
        // SAFETY: as above; the keys that are read from the object do not change.
        unsafe impl Sync for $name {}

        impl $name {
            pub(crate) fn raw(&self) -> *mut $raw {
                self.raw.as_ptr()
            }

            fn try_destroy(&self) -> Result<(), Errno> {
                let device = self.device();
                if device.is_inherited() {
                    return Ok(());
                }
                let destroy: fn(&Device, *mut $raw) -> i32 = $destroy;
                match Errno::check(destroy(device, self.raw())) {
                    Err(errno) if errno.is_loss() => Ok(()),
                    result => result,
                }
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                if let Err(errno) = self.try_destroy() {
                    let error = errno.error(concat!("giving up ", $what));
                    log::error!("{}: {error}; it stays leaked", self.device().name());
                }
            }
        }
    )*};
}

// SAFETY of each: the object is alive, and this its one owner, so it is given up once.
#[allow(clippy::undocumented_unsafe_blocks)] // said once, above
mod destroy {
    use super::*;

    pub(super) fn pd(device: &Device, raw: *mut ibv_pd) -> i32 {
        unsafe { (device.verbs().ibv_dealloc_pd)(raw) }
    }

    pub(super) fn mr(device: &Device, raw: *mut ibv_mr) -> i32 {
        unsafe { (device.verbs().ibv_dereg_mr)(raw) }
    }

    pub(super) fn indirect_key(_: &Device, raw: *mut mlx5dv_mkey) -> i32 {
        // Whoever has a key had the library.
        Mlx5::get().map_or(libc::ENOSYS, |mlx5| unsafe { (mlx5.mlx5dv_destroy_mkey)(raw) })
    }

    pub(super) fn mw(_: &Device, raw: *mut ibv_mw) -> i32 {
        unsafe { ibv_dealloc_mw(raw) }
    }
}

handles! {
    /// A protection domain.
    Pd(ibv_pd) of Device = "a protection domain", destroy::pd;
    /// A registration.
    Mr(ibv_mr) of Pd = "a registration", destroy::mr;
    /// An indirect key of mlx5.
    IndirectKey(mlx5dv_mkey) of Pd = "an indirect key", destroy::indirect_key;
    /// A memory window.
    Mw(ibv_mw) of Pd = "a memory window", destroy::mw;
}

macro_rules! ends {
    ($($name:ident, $error:expr;)*) => {$(
        impl $name {
            /// Ends the object; where the device refuses, it stays.
            ///
            /// # Errors
            /// Why it refuses.
            pub(crate) fn end(self) -> Result<(), (Self, Error)> {
                if let Err(errno) = self.try_destroy() {
                    let error: fn(Errno) -> Error = $error;
                    return Err((self, error(errno)));
                }
                let ended = core::mem::ManuallyDrop::new(self);
                // SAFETY: the object is gone, and only its owner's reference is left to let go, once.
                drop(unsafe { core::ptr::read(&ended.owner) });
                Ok(())
            }
        }
    )*};
}

ends! {
    Mr, |errno| match errno {
        // Devices differ in what they say of a registration with a window over it.
        Errno(libc::EBUSY | libc::EINVAL) => {
            let cause = "the device knows of a window over the registration";
            Error::new(ErrorKind::DeviceBusy, cause).rule("D2")
        }
        errno => errno.error("ending a registration"),
    };
    IndirectKey, |errno| errno.error("ending an indirect key");
    Mw, |errno| errno.error("ending a memory window");
}

impl Pd {
    pub(crate) fn new(device: &Arc<Device>) -> Result<Self> {
        // SAFETY: the context is open as long as the device is there.
        let raw = unsafe { (device.verbs().ibv_alloc_pd)(device.context()) };
        let refused = || Errno::last().error("making a protection domain");
        Ok(Self { raw: NonNull::new(raw).ok_or_else(refused)?, owner: device.clone() })
    }

    pub(crate) fn device(&self) -> &Arc<Device> {
        &self.owner
    }

    /// Registers memory. A call that takes a while: its pages are locked.
    ///
    /// # Errors
    /// What the kernel says, with the limit and its figure where one is reached.
    pub(crate) fn register(self: &Arc<Self>, range: HostRange, flags: u32) -> Result<Mr> {
        let HostRange { address, length, base } = range;
        let (address, verbs) =
            (core::ptr::with_exposed_provenance_mut(address), self.owner.verbs());
        // SAFETY: the domain is alive. The kernel checks the memory and holds its pages, so that nothing depends on how
        // long it stays mapped.
        let raw = unsafe { (verbs.ibv_reg_mr_iova2)(self.raw(), address, length, base, flags) };
        match NonNull::new(raw) {
            Some(raw) => Ok(Mr { raw, owner: self.clone() }),
            None => Err(self.owner.refused_registration(Errno::last(), length)),
        }
    }

    /// Makes an indirect key for lists of up to `runs` elements.
    ///
    /// # Errors
    /// NOT_SUPPORTED where the kernel, the firmware or libmlx5 (before rdma-core 43) has none; INSUFFICIENT_RESOURCES.
    pub(crate) fn indirect_key(self: &Arc<Self>, runs: usize) -> Result<IndirectKey> {
        let mut attributes = key_attributes(self.raw(), runs);
        // SAFETY: the domain is alive; it is one of an mlx5 device, or libmlx5 refuses it.
        let raw = unsafe { (Mlx5::get()?.mlx5dv_create_mkey)(&raw mut attributes) };
        let refused = || Errno::last().error("making an indirect key");
        Ok(IndirectKey { raw: NonNull::new(raw).ok_or_else(refused)?, owner: self.clone() })
    }

    /// Makes a window of type 2.
    pub(crate) fn window(self: &Arc<Self>) -> Result<Mw> {
        // SAFETY: the domain is alive.
        let raw = unsafe { ibv_alloc_mw(self.raw(), IBV_MW_TYPE_2) };
        let refused = || Errno::last().error("making a memory window");
        Ok(Mw { raw: NonNull::new(raw).ok_or_else(refused)?, owner: self.clone() })
    }
}

impl Mr {
    fn device(&self) -> &Device {
        self.owner.device()
    }

    /// The key for local use.
    pub(crate) fn local_key(&self) -> u32 {
        // SAFETY: the region is alive.
        unsafe { (*self.raw()).lkey }
    }

    /// The key for peers.
    pub(crate) fn remote_key(&self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.raw()).rkey }
    }
}

impl IndirectKey {
    fn device(&self) -> &Device {
        self.owner.device()
    }

    /// The key's value, for both sides.
    pub(crate) fn value(&self) -> u32 {
        // SAFETY: the key is alive.
        unsafe { (*self.raw()).rkey }
    }
}

impl Mw {
    fn device(&self) -> &Device {
        self.owner.device()
    }

    /// The key for peers.
    pub(crate) fn key(&self) -> u32 {
        // SAFETY: the window is alive.
        unsafe { (*self.raw()).rkey }
    }
}
