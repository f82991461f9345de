/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Tokens: a counter, enciphered under a key that nobody knows. So none comes twice [D4, E2], and none can
   be guessed from others [E5]. The cipher is Speck with blocks of 32 bits and a key of 64. */
#include "soft.h"

#include <stdio.h>

#define ROUNDS 22

static uint16_t turned_right(uint16_t word)
{
    return (uint16_t)(word >> 7 | word << 9);
}

static uint16_t turned_left(uint16_t word)
{
    return (uint16_t)(word << 2 | word >> 14);
}

bool soft_make_key(struct soft_adapter *adapter)
{
    uint16_t words[4], left[ROUNDS + 2];
    FILE *source = fopen("/dev/urandom", "rb");
    bool is_there = source && fread(words, sizeof words, 1, source) == 1;
    unsigned round;

    if (source)
        fclose(source);
    if (!is_there)
        return false;
    adapter->key[0] = words[0];
    for (round = 0; round < 3; round++)
        left[round] = words[round + 1];
    for (round = 0; round < ROUNDS - 1; round++) {
        left[round + 3] = (uint16_t)((adapter->key[round] + turned_right(left[round])) ^ round);
        adapter->key[round + 1] = turned_left(adapter->key[round]) ^ left[round + 3];
    }
    return true;
}

bool soft_draw_token(struct soft_adapter *adapter, UINT32 *token)
{
    do {
        uint16_t left, right;
        unsigned round;

        if (adapter->tokens == UINT32_MAX)
            return false;
        left = (uint16_t)(adapter->tokens >> 16);
        right = (uint16_t)adapter->tokens++;
        for (round = 0; round < ROUNDS; round++) {
            left = (uint16_t)(turned_right(left) + right) ^ adapter->key[round];
            right = turned_left(right) ^ left;
        }
        *token = (UINT32)left << 16 | right;
    } while (*token == 0); /* Nobody's. */
    return true;
}
