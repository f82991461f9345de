//! Addresses as librdmacm takes them, and the endpoints that are made of them.

use crate::errno::Errno;
use libc::{c_int, sockaddr, sockaddr_in, sockaddr_in6};
use ndk_core::Result;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const PREFIX: &str = "cm:";

/// The text of an endpoint.
pub(super) fn to_text(place: SocketAddr) -> String {
    format!("{PREFIX}{place}")
}

/// The address and port of an endpoint's text.
pub(super) fn from_text(text: &str) -> Option<SocketAddr> {
    text.strip_prefix(PREFIX)?.parse().ok()
}

/// An address as C has it.
#[repr(C)]
pub(super) union Address {
    any: sockaddr,
    v4: sockaddr_in,
    v6: sockaddr_in6,
}

impl Address {
    pub(super) fn new(place: SocketAddr) -> Self {
        match place {
            SocketAddr::V4(place) => {
                // SAFETY: the structure is numbers, for which zero is a value.
                let mut v4: sockaddr_in = unsafe { core::mem::zeroed() };
                v4.sin_family = libc::AF_INET as u16;
                v4.sin_port = place.port().to_be();
                v4.sin_addr.s_addr = u32::from_ne_bytes(place.ip().octets());
                Self { v4 }
            }
            SocketAddr::V6(place) => {
                // SAFETY: as above.
                let mut v6: sockaddr_in6 = unsafe { core::mem::zeroed() };
                v6.sin6_family = libc::AF_INET6 as u16;
                v6.sin6_port = place.port().to_be();
                v6.sin6_addr.s6_addr = place.ip().octets();
                v6.sin6_scope_id = place.scope_id();
                Self { v6 }
            }
        }
    }

    pub(super) fn as_mut(&mut self) -> *mut sockaddr {
        (&raw mut *self).cast()
    }
}

/// The addresses of this machine's interfaces, IPv4 first.
pub(super) fn local_addresses() -> Result<Vec<IpAddr>> {
    let mut list = std::ptr::null_mut();
    // SAFETY: the place is there to be written.
    Errno::check(unsafe { libc::getifaddrs(&raw mut list) })
        .map_err(|errno| errno.error("listing the machine's addresses"))?;
    let (mut addresses, mut at) = (Vec::new(), list);
    // SAFETY: a list that ends with null; an address has the structure that its family says.
    unsafe {
        while let Some(interface) = at.as_ref() {
            at = interface.ifa_next;
            let Some(address) = interface.ifa_addr.as_ref() else { continue };
            match c_int::from(address.sa_family) {
                libc::AF_INET => {
                    let v4 = &*interface.ifa_addr.cast::<sockaddr_in>();
                    addresses.push(IpAddr::V4(Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes())));
                }
                libc::AF_INET6 => {
                    let v6 = &*interface.ifa_addr.cast::<sockaddr_in6>();
                    let address = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                    if !address.is_unicast_link_local() {
                        addresses.push(IpAddr::V6(address));
                    }
                }
                _ => {}
            }
        }
        libc::freeifaddrs(list);
    }
    addresses.sort_by_key(IpAddr::is_ipv6);
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_read_as_it_was_written() {
        for text in ["cm:10.9.3.1:4791", "cm:[fd00::7]:20049"] {
            assert_eq!(from_text(text).map(to_text).as_deref(), Some(text));
        }
        for wrong in ["", "cm:", "cm:10.9.3.1", "verbs:10.9.3.1:1", "cm:10.9.3:1"] {
            assert_eq!(from_text(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_address_is_what_c_expects() {
        let address = Address::new("10.9.3.1:4791".parse().unwrap());
        // SAFETY: it was made as that.
        let v4 = unsafe { address.v4 };
        assert_eq!(i32::from(v4.sin_family), libc::AF_INET);
        assert_eq!(
            (v4.sin_port.to_ne_bytes(), v4.sin_addr.s_addr.to_ne_bytes()),
            ([0x12, 0xb7], [10, 9, 3, 1])
        );
    }

    #[test]
    fn the_machines_addresses_are_listed() {
        assert!(local_addresses().unwrap().iter().any(IpAddr::is_loopback));
    }
}
