/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Tells callgrind what to count; outside of it these do nothing. */
#include <callgrind.h>

void count_from_here(void)
{
    CALLGRIND_START_INSTRUMENTATION;
}

void count_until_here(void)
{
    CALLGRIND_STOP_INSTRUMENTATION;
}
