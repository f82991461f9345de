/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* One translation unit, as a driver's author would have it, so that the compiler sees the whole of a registration. */
#include "twin_chain.c"

#include "twin_region.c"

#include "twin_adapter.c"
