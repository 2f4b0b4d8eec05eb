/* lease.h - the MAC that lets a claim be believed after a restart: HMAC-SHA256, truncated, over
 * every field of the lease (domain-separated, fixed-size encoding). */
#pragma once

#include "broker/core/types.h"

void lease_sign(struct core_lease *lease, const uint8_t key[32]);
bool lease_verify(const struct core_lease *lease, const uint8_t key[32]);
