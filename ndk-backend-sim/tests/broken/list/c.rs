//! Section C.

use super::Defect;

pub(super) const ALL: &[Defect] = &[
    Defect::table("C1", "illegal_flags", "unknown_flag_is_dropped", "flag 0x10 is ignored"),
    Defect::table(
        "C1",
        "illegal_flags",
        "lone_remote_write_is_completed",
        "flag 0x4 alone is taken for remote write",
    ),
    Defect::rust(
        "C2",
        "any_address",
        "high_address_is_refused",
        "an MDL at an address with the top bit set is NOT_SUPPORTED",
    ),
    Defect::table(
        "C3",
        "joint_inside_page",
        "cut_page_is_refused",
        "two MDLs that meet inside a page are refused",
    ),
    Defect::table(
        "C4",
        "hole",
        "chain_ends_at_a_hole",
        "a registration ends at the first hole, and succeeds",
    ),
    Defect::table(
        "C4",
        "hole_beyond_length",
        "hole_beyond_is_refused",
        "a hole beyond the length is refused",
    ),
    Defect::table(
        "C5",
        "beyond_chain",
        "length_ends_with_the_chain",
        "a length beyond the chain is cut to it",
    ),
    Defect::table(
        "C6",
        "length_zero",
        "length_zero_is_a_byte",
        "a length of 0 with one remote right registers a byte",
    ),
    Defect::table(
        "C6",
        "null_chain",
        "null_chain_is_a_violation",
        "a null chain is ACCESS_VIOLATION",
    ),
    Defect::rust(
        "C6",
        "addresses_count_from_the_mdl",
        "addresses_may_be_offsets",
        "a peer may count a region's addresses from 0",
    ),
    Defect::table(
        "C7",
        "wraps",
        "length_ends_with_the_addresses",
        "a length that wraps is cut to the last address",
    ),
    Defect::table(
        "C8",
        "above_largest",
        "length_ends_with_the_limit",
        "one byte above MaxRegistrationSize is dropped",
    ),
    Defect::rust(
        "C8",
        "largest",
        "largest_is_refused",
        "a registration of MaxRegistrationSize is refused",
    ),
    Defect::rust(
        "C9",
        "one_byte",
        "odd_byte_shares_its_word",
        "one byte at an odd address exposes the one before it",
    ),
    Defect::rust(
        "C10",
        "data_into_a_read_sink",
        "read_sink_is_no_source",
        "a read sink that was read into cannot be the source of a write",
    ),
    Defect::table(
        "C11",
        "fast_region",
        "fast_region_cannot_register",
        "Register on a region that is not initialised yet is NOT_SUPPORTED",
    ),
    Defect::table(
        "C12",
        "registered",
        "refused_registration_takes_the_token",
        "a second Register is refused, and the remote token is 0 from then on",
    ),
    Defect::table(
        "C12",
        "while_pending",
        "pending_registration_is_busy",
        "Register while one is pending is DEVICE_BUSY",
    ),
    Defect::rust(
        "C13",
        "rights_of_each",
        "sharers_go_together",
        "closing one region of a buffer unmaps the buffer's other regions",
    ),
    Defect::rust(
        "C13",
        "rights_of_each",
        "sharers_have_all_rights",
        "a region has the rights of every region of its buffer",
    ),
    Defect::rust(
        "C13",
        "each_region_counts",
        "shared_page_is_pinned_twice_at_once",
        "Register of a page that another region has is carried out at once, and again by its future",
    ),
    Defect::rust(
        "C14",
        "region_limit",
        "limit_is_one_more",
        "there is room for one region more than the limit",
    ),
    Defect::rust(
        "C14",
        "region_limit",
        "creation_takes_two_places_at_once",
        "a creation is carried out at once, and again by its future",
    ),
    Defect::rust(
        "C14",
        "region_limit",
        "full_adapter_is_unsupported_at_once",
        "a creation at once, at the limit, is NOT_SUPPORTED",
    ),
    Defect::table(
        "C15",
        "unlocked",
        "unlocked_chain_is_locked",
        "Register locks a chain that is not locked",
    ),
    Defect::table(
        "C15",
        "locked",
        "partial_chain_is_refused",
        "a chain of partial MDLs is refused",
    ),
    Defect::table(
        "C15",
        "not_used_afterwards",
        "chain_is_read_afterwards",
        "Deregister reads the chain of the registration",
    ),
];
