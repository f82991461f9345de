//! Sections G to L.

use super::Defect;

pub(super) const ALL: &[Defect] = &[
    Defect::table(
        "G1",
        "conventional_region",
        "refused_initialisation_takes_the_token",
        "initialising a registered region is refused, and its local token is 0 from then on",
    ),
    Defect::table(
        "G2",
        "page_counts",
        "page_limit_is_a_parameter",
        "too many pages are INVALID_PARAMETER",
    ),
    Defect::table(
        "G2",
        "page_counts",
        "most_pages_and_one_are_taken",
        "one page above FRMRPageCount is dropped",
    ),
    Defect::table(
        "G3",
        "in_parallel",
        "first_of_parallel_decides",
        "the first of parallel initialisations decides",
    ),
    Defect::table(
        "G3",
        "initialise_valid",
        "valid_region_is_busy",
        "initialising a valid region is DEVICE_BUSY",
    ),
    Defect::rust("G4", "any_base", "base_zero_is_none", "base address 0 is refused"),
    Defect::rust(
        "G4",
        "most_pages",
        "most_pages_are_refused",
        "a fast registration of FRMRPageCount pages is refused",
    ),
    Defect::rust(
        "G5",
        "remote_rights",
        "no_remote_access_is_no_access",
        "a region initialised without remote access cannot be registered for local use",
    ),
    Defect::rust(
        "G6",
        "not_connected",
        "unconnected_is_a_state",
        "a queue pair that is not connected is INVALID_DEVICE_STATE",
    ),
    Defect::rust(
        "G7",
        "rights_of_the_round",
        "rights_add_up",
        "a fast registration has the rights of those before it",
    ),
    Defect::rust(
        "G8",
        "reaches_nothing",
        "invalidated_region_stays_readable",
        "an invalidated region can be read by peers",
    ),
    Defect::rust(
        "G8",
        "posted_in_order",
        "fast_completions_overtake",
        "completions of fast registrations and invalidations overtake each other",
    ),
    Defect::rust(
        "G9",
        "send_and_invalidate",
        "sent_invalidation_is_lost",
        "a send does not invalidate",
    ),
    Defect::rust(
        "G9",
        "unknown_token",
        "any_token_is_invalidated",
        "a send that is to invalidate a dead token succeeds",
    ),
    Defect::rust(
        "G10",
        "initialised_again",
        "flushed_registration_spoils",
        "after a flushed fast registration the region cannot be initialised",
    ),
    Defect::rust(
        "G11",
        "queue_pairs",
        "token_stays_on_its_queue_pair",
        "a token works on the queue pair of its registration only, which is not declared",
    ),
    Defect::table(
        "H1",
        "every_state",
        "failed_region_does_not_close",
        "Close of a region whose registration found resources short is refused",
    ),
    Defect::table(
        "H2",
        "register_pending",
        "close_overtakes_requests",
        "the close completion comes while a request is pending",
    ),
    Defect::rust(
        "H3",
        "tokens_are_dead",
        "written_region_outlives_its_close",
        "a region that a peer has written stays reachable after Close",
    ),
    Defect::table(
        "H4",
        "after_the_childs_callback",
        "domain_overtakes_the_childs_callback",
        "a domain's close completes before the close callback of its last region",
    ),
    Defect::alone(
        "H5",
        "waits_for_callbacks",
        "adapter_closes_early",
        "the close of an adapter returns before what was made from it is closed",
    ),
    Defect::table(
        "H6",
        "nobody_waits",
        "domain_of_many_stays",
        "the close of a domain with three regions completes, and the domain stays",
    )
    .waits(),
    Defect::table(
        "H7",
        "region_closing",
        "closing_region_is_removed",
        "Deregister on a region that is being closed is DEVICE_REMOVED",
    ),
    Defect::table(
        "H7",
        "region_closing",
        "second_close_pends",
        "a second Close pends, and calls back",
    ),
    Defect::table(
        "H8",
        "new_requests",
        "lost_device_cancels",
        "Register on a lost device is CANCELLED",
    ),
    Defect::rust(
        "K1",
        "fast_registration",
        "one_page_more_is_declared",
        "one page more than FRMRPageCount is declared",
    ),
    Defect::rust(
        "K1",
        "windows",
        "windows_are_not_declared",
        "windows can be made, and are not declared",
    ),
    Defect::rust(
        "K2",
        "region_as_before",
        "unsupported_memory_keeps_the_region",
        "after NOT_SUPPORTED the region cannot be registered any more",
    )
    .on("rxe"),
    Defect::rust(
        "L1",
        "adjacent_pages",
        "fourth_page_is_elsewhere",
        "the fourth page of a mapping does not follow the third",
    ),
    Defect::rust(
        "L2",
        "elements",
        "element_is_cut_to_its_mapping",
        "an element that ends beyond its mapping is cut",
    ),
    Defect::rust(
        "L3",
        "whole_pages",
        "mapping_is_exact",
        "what lies around the bytes of a mapping, on their pages, cannot be reached",
    ),
    Defect::rust(
        "L3",
        "narrowed_to_bytes",
        "fast_registration_ends_with_its_page",
        "a fast registration reaches to the end of its last page",
    ),
    Defect::table(
        "L4",
        "page_count",
        "offset_is_forgotten",
        "BuildLAM gives 0 for the offset of the first byte",
    ),
    Defect::table(
        "L4",
        "too_small",
        "size_needed_is_the_header",
        "BuildLAM wants room for one page, however many there are",
    ),
    Defect::rust(
        "L5",
        "privileged_token",
        "one_token_for_all_domains",
        "the domains of an adapter share a privileged token",
    ),
    Defect::rust(
        "L6",
        "inline",
        "unaligned_mapping_waits",
        "BuildLAM pends for memory that starts inside a page",
    ),
];
