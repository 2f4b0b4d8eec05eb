/* lease_mac.c - the MAC of leases: every field counts. */
#include "broker/core/lease.h"

#include <criterion/criterion.h>
#include <string.h>

static const uint8_t key[32] = {1, 2, 3};

static struct core_lease signed_lease(void)
{
	struct core_lease l = {.batch_id = {1},
			       .index = 2,
			       .epoch = 3,
			       .func_hash = {4},
			       .args_hash = {5},
			       .has_nonce = true,
			       .nonce = {6},
			       .worker_key = {7}};
	lease_sign(&l, key);
	return l;
}

Test(lease, is_verified_by_the_key_that_signed_it)
{
	struct core_lease l = signed_lease();
	uint8_t other[32] = {1, 2, 4};
	cr_expect(lease_verify(&l, key));
	cr_expect(!lease_verify(&l, other));
}

Test(lease, every_field_is_covered)
{
	struct core_lease l;
#define CHANGED(statement)                                                               \
	l = signed_lease();                                                              \
	statement;                                                                       \
	cr_expect(!lease_verify(&l, key), #statement)
	CHANGED(l.batch_id[31] ^= 1);
	CHANGED(l.index ^= 1u << 31);
	CHANGED(l.epoch ^= 1ull << 63);
	CHANGED(l.func_hash[0] ^= 1);
	CHANGED(l.args_hash[31] ^= 1);
	CHANGED(l.has_nonce = false);
	CHANGED(l.nonce[15] ^= 1);
	CHANGED(l.worker_key[0] ^= 1);
	CHANGED(l.mac[15] ^= 1);
}

Test(lease, no_nonce_is_not_a_nonce_of_zeros)
{
	struct core_lease l = {0};
	lease_sign(&l, key);
	l.has_nonce = true;
	cr_expect(!lease_verify(&l, key));
}

Test(lease, prepared_key_gives_the_same_mac_as_hmac)
{
	struct core_lease a = signed_lease(), b = a;
	struct lease_signer signer;
	lease_signer_init(&signer, key);
	memset(b.mac, 0, sizeof b.mac);
	lease_sign_with(&b, &signer);
	cr_expect_arr_eq(a.mac, b.mac, CORE_MAC_SIZE);
	cr_expect(lease_verify_with(&a, &signer));
}
