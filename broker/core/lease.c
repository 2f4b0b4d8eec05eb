/* lease.c - see lease.h. The encoding has no lengths because every field has one size; a lease
 * without a nonce is told from one with sixteen zeros by its flag. */
#include "broker/core/lease.h"

#include <string.h>

#define LEASE_DOMAIN "cashet.lease.1\0" /* 16 bytes with the terminating NUL */
_Static_assert(sizeof LEASE_DOMAIN == 16, "the domain is one half of a digest");

#define LEASE_ENCODED                                                                    \
	(16 + DIGEST_SIZE + 4 + 8 + 2 * DIGEST_SIZE + 1 + NONCE_SIZE + KEY_SIZE)

static uint8_t *put_uint(uint8_t *at, uint64_t value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		*at++ = (uint8_t)(value >> 8 * i);
	return at;
}

static uint8_t *put_bytes(uint8_t *at, const void *data, size_t size)
{
	memcpy(at, data, size);
	return at + size;
}

static void compute(const struct core_lease *l, const struct lease_signer *signer,
		    uint8_t out[DIGEST_SIZE])
{
	static const uint8_t no_nonce[NONCE_SIZE];
	uint8_t text[LEASE_ENCODED], *at = text;
	at = put_bytes(at, LEASE_DOMAIN, 16);
	at = put_bytes(at, l->batch_id, DIGEST_SIZE);
	at = put_uint(at, l->index, 4);
	at = put_uint(at, l->epoch, 8);
	at = put_bytes(at, l->func_hash, DIGEST_SIZE);
	at = put_bytes(at, l->args_hash, DIGEST_SIZE);
	at = put_uint(at, l->has_nonce, 1);
	at = put_bytes(at, l->has_nonce ? l->nonce : no_nonce, NONCE_SIZE);
	at = put_bytes(at, l->worker_key, KEY_SIZE);
	assert(at == text + sizeof text);
	struct sha256 s = signer->inner;
	sha256_update(&s, text, sizeof text);
	sha256_final(&s, out);
	s = signer->outer;
	sha256_update(&s, out, DIGEST_SIZE);
	sha256_final(&s, out);
}

void lease_signer_init(struct lease_signer *signer, const uint8_t key[32])
{
	uint8_t pad[64];
	memset(pad, 0x36, sizeof pad);
	for (int i = 0; i < 32; i++)
		pad[i] ^= key[i];
	sha256_init(&signer->inner);
	sha256_update(&signer->inner, pad, sizeof pad);
	for (int i = 0; i < 64; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	sha256_init(&signer->outer);
	sha256_update(&signer->outer, pad, sizeof pad);
}

void lease_sign_with(struct core_lease *lease, const struct lease_signer *signer)
{
	uint8_t mac[DIGEST_SIZE];
	compute(lease, signer, mac);
	memcpy(lease->mac, mac, CORE_MAC_SIZE);
}

bool lease_verify_with(const struct core_lease *lease, const struct lease_signer *signer)
{
	uint8_t mac[DIGEST_SIZE], different = 0;
	compute(lease, signer, mac);
	for (int i = 0; i < CORE_MAC_SIZE;
	     i++) /* no early exit: its time tells nothing */
		different |= mac[i] ^ lease->mac[i];
	return different == 0;
}

void lease_sign(struct core_lease *lease, const uint8_t key[32])
{
	struct lease_signer signer;
	lease_signer_init(&signer, key);
	lease_sign_with(lease, &signer);
}

bool lease_verify(const struct core_lease *lease, const uint8_t key[32])
{
	struct lease_signer signer;
	lease_signer_init(&signer, key);
	return lease_verify_with(lease, &signer);
}
