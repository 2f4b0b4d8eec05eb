/* lease.h - the MAC that lets a claim be believed after a restart: HMAC-SHA256, truncated, over
 * every field of the lease (domain-separated, fixed-size encoding). */
#pragma once

#include "broker/core/types.h"
#include "common/pure/sha256.h"

void lease_sign(struct core_lease *lease, const uint8_t key[32]);
bool lease_verify(const struct core_lease *lease, const uint8_t key[32]);

/* The same with the key worked in beforehand: half of the hashing. */
struct lease_signer {
	struct sha256 inner, outer;
};
void lease_signer_init(struct lease_signer *signer, const uint8_t key[32]);
void lease_sign_with(struct core_lease *lease, const struct lease_signer *signer);
bool lease_verify_with(const struct core_lease *lease, const struct lease_signer *signer);
