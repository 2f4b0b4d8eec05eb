#include "broker/ledger/pack.h"

#include "tests/unit/ledger/support.h"

#include <criterion/criterion.h>
#include <string.h>

Test(ledger_pack, ends_come_back_as_they_were)
{
	CLEANUP_BUF struct buf row = {0};
	struct ledger_end in[3] = {
		{.index = 0, .status = CORE_COMPLETED, .flags = 1, .commit = 1},
		{.index = UINT32_MAX, .status = CORE_SKIPPED, .upstream = UINT32_MAX},
		{.index = 7,
		 .status = CORE_FAILED,
		 .attempts = UINT16_MAX,
		 .commit = UINT64_MAX},
	};
	for (size_t i = 0; i < 3; i++)
		pack_end(&row, &in[i]);
	cr_assert_eq(row.size, 3 * PACK_END_SIZE);
	for (size_t i = 0; i < 3; i++) {
		struct ledger_end out;
		cr_assert_eq(unpack_end(row.data, row.size, i, &out), 0);
		cr_assert_eq(out.index, in[i].index);
		cr_assert_eq(out.status, in[i].status);
		cr_assert_eq(out.flags, in[i].flags);
		cr_assert_eq(out.attempts, in[i].attempts);
		cr_assert_eq(out.upstream, in[i].upstream);
		cr_assert_eq(out.commit, in[i].commit);
	}
	struct ledger_end out;
	cr_assert_eq(unpack_end(row.data, row.size, 3, &out), 1);
	cr_assert_eq(unpack_end(row.data, row.size - 1, 0, &out), 2);
}

Test(ledger_pack, leases_share_the_keys_of_their_workers)
{
	CLEANUP_BUF struct buf row = {0};
	static struct ledger_lease in[PACK_ROW_MAX];
	const struct ledger_lease *pointers[PACK_ROW_MAX];
	for (uint32_t i = 0; i < PACK_ROW_MAX; i++) {
		in[i] = (struct ledger_lease){
			.index = i, .epoch = 1ull << 32 | i, .attempt = i % 3};
		in[i].deaths = i % 2;
		sample_digest(in[i].worker_key, "worker", i % 5);
		pointers[i] = &in[i];
	}
	pack_leases(&row, pointers, PACK_ROW_MAX);
	cr_assert_eq(row.size, 2 + 5 * KEY_SIZE + PACK_ROW_MAX * PACK_LEASE_SIZE);
	for (size_t i = 0; i < PACK_ROW_MAX; i++) {
		struct ledger_lease out;
		cr_assert_eq(unpack_lease(row.data, row.size, i, &out), 0);
		cr_assert_eq(out.index, in[i].index);
		cr_assert_eq(out.epoch, in[i].epoch);
		cr_assert_eq(out.attempt, in[i].attempt);
		cr_assert_eq(out.deaths, in[i].deaths);
		cr_assert_eq(memcmp(out.worker_key, in[i].worker_key, KEY_SIZE), 0);
	}
	struct ledger_lease out;
	cr_assert_eq(unpack_lease(row.data, row.size, PACK_ROW_MAX, &out), 1);
}

Test(ledger_pack, malformed_leases_are_noticed)
{
	CLEANUP_BUF struct buf row = {0};
	struct ledger_lease lease = {.index = 1}, out;
	const struct ledger_lease *pointer = &lease;
	pack_leases(&row, &pointer, 1);
	for (size_t size = 0; size < row.size; size++) {
		int rc = unpack_lease(row.data, size, 0, &out);
		cr_assert(rc == 2 || (rc == 1 && size == 2 + KEY_SIZE), "size %zu: %d",
			  size, rc);
	}
	row.data[2 + KEY_SIZE] = 1; /* the second of one key */
	cr_assert_eq(unpack_lease(row.data, row.size, 0, &out), 2);
}

Test(ledger_pack, counts_come_back_and_malformed_ones_do_not)
{
	CLEANUP_BUF struct buf out = {0};
	struct core_counts in = {.total = 1000000,
				 .cached = 1,
				 .executed = 2,
				 .deduplicated = 3,
				 .failed = 4,
				 .skipped = 5,
				 .cancelled = 6},
			   back;
	pack_counts(&out, &in);
	cr_assert_eq(unpack_counts(out.data, out.size, &back), 0);
	cr_assert_eq(memcmp(&in, &back, sizeof in), 0);
	for (size_t size = 0; size < out.size; size++)
		cr_assert_eq(unpack_counts(out.data, size, &back), 1);
}

Test(ledger_pack, prefixes_match_by_nibble)
{
	uint8_t key[DIGEST_SIZE] = {0xab, 0xcd, 0xef},
		prefix[DIGEST_SIZE] = {0xab, 0xc0, 0xff};
	uint8_t low[DIGEST_SIZE], high[DIGEST_SIZE];
	cr_assert(pack_prefix_matches(key, prefix, 0));
	cr_assert(pack_prefix_matches(key, prefix, 2));
	cr_assert(pack_prefix_matches(key, prefix, 3));
	cr_assert_not(pack_prefix_matches(key, prefix, 4));
	cr_assert(pack_prefix_matches(key, key, 64));
	/* What follows an odd digit in its byte says nothing. */
	prefix[1] = 0xcf;
	cr_assert(pack_prefix_matches(key, prefix, 3));
	pack_prefix_range(prefix, 3, low, high);
	cr_assert_eq(low[1], 0xc0);
	cr_assert_eq(high[1], 0xcf);
	cr_assert_eq(low[2], 0x00);
	cr_assert_eq(high[31], 0xff);
	pack_prefix_range(key, 64, low, high);
	cr_assert_eq(memcmp(low, key, DIGEST_SIZE), 0);
	cr_assert_eq(memcmp(high, key, DIGEST_SIZE), 0);
}

Test(ledger_pack, expiry_does_not_overflow)
{
	struct commit c = {.ended_wall_ms = 1000};
	cr_assert_eq(pack_expiry(&c), 0);
	c.ttl_s = 2;
	cr_assert_eq(pack_expiry(&c), 3000);
	c.ttl_s = UINT64_MAX;
	cr_assert_eq(pack_expiry(&c), INT64_MAX);
	c.ended_wall_ms = UINT64_MAX;
	c.ttl_s = 1;
	cr_assert_eq(pack_expiry(&c), INT64_MAX);
}
