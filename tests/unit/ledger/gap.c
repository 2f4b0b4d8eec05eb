#include "broker/ledger/gap.h"

#include "common/clock.h"
#include "tests/unit/ledger/support.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct gap_add make_add(enum gap_kind kind, uint64_t n, uint64_t seq)
{
	struct gap_add add = {.kind = kind, .entry = {.seq = seq}};
	sample_digest(add.entry.key, "key", n);
	return add;
}

static void add_one(struct gap *gap, enum gap_kind kind, uint64_t n, uint64_t seq)
{
	struct gap_add add = make_add(kind, n, seq);
	struct gap_mark mark = {.commit = seq};
	gap_add(gap, &add, 1, &mark, clock_mono_ns());
}

static uint64_t find(struct gap *gap, enum gap_kind kind, uint64_t n)
{
	struct gap_entry entry = {0};
	uint8_t key[DIGEST_SIZE];
	sample_digest(key, "key", n);
	return gap_find(gap, kind, key, &entry) ? entry.seq : 0;
}

Test(ledger_gap, finds_what_was_added_by_kind)
{
	struct gap_layer *layer = gap_layer_new();
	for (uint64_t n = 1; n <= 10000; n++) {
		struct gap_add add = make_add(n % GAP_KINDS, n, n);
		gap_layer_put(layer, add.kind, &add.entry);
	}
	cr_assert_eq(layer->count, 10000);
	for (uint64_t n = 1; n <= 10000; n++) {
		struct gap_add add = make_add(n % GAP_KINDS, n, n);
		const struct gap_entry *found =
			gap_layer_find(layer, add.kind, add.entry.key);
		cr_assert(found && found->seq == n);
		cr_assert_null(gap_layer_find(layer, (n + 1) % GAP_KINDS, add.entry.key));
	}
	gap_layer_free(layer);
}

Test(ledger_gap, the_newer_entry_of_a_key_stays)
{
	struct gap_layer *layer = gap_layer_new();
	struct gap_add newer = make_add(GAP_FINGERPRINT, 1, 9),
		       older = make_add(GAP_FINGERPRINT, 1, 8);
	gap_layer_put(layer, GAP_FINGERPRINT, &newer.entry);
	gap_layer_put(layer, GAP_FINGERPRINT, &older.entry);
	cr_assert_eq(layer->count, 1);
	cr_assert_eq(gap_layer_find(layer, GAP_FINGERPRINT, newer.entry.key)->seq, 9);
	newer.entry.seq = 10;
	gap_layer_put(layer, GAP_FINGERPRINT, &newer.entry);
	cr_assert_eq(gap_layer_find(layer, GAP_FINGERPRINT, newer.entry.key)->seq, 10);
	gap_layer_free(layer);
}

Test(ledger_gap, sorted_is_ascending_by_key)
{
	struct gap_layer *layer = gap_layer_new();
	for (uint64_t n = 1; n <= 1000; n++) {
		struct gap_add add = make_add(GAP_COMMIT, n, n);
		gap_layer_put(layer, GAP_COMMIT, &add.entry);
	}
	uint32_t *places = gap_layer_sorted(layer, GAP_COMMIT);
	const struct gap_entry *items = layer->maps[GAP_COMMIT].items;
	for (size_t i = 1; i < 1000; i++)
		cr_assert_lt(memcmp(items[places[i - 1]].key, items[places[i]].key,
				    DIGEST_SIZE),
			     0);
	free(places);
	gap_layer_free(layer);
}

static bool collect(void *arg, const struct gap_entry *entry)
{
	uint64_t *sum = arg;
	*sum += entry->seq;
	return true;
}

Test(ledger_gap, a_sealed_layer_is_found_until_it_is_dropped)
{
	struct gap gap;
	gap_init(&gap);
	gap.wanted = 1;
	add_one(&gap, GAP_COMMIT, 1, 1);
	struct gap_layer *layer = gap_seal(&gap);
	cr_assert_eq(layer->count, 1);
	cr_assert_eq(layer->mark.commit, 1);
	add_one(&gap, GAP_COMMIT, 2, 2);
	cr_assert_eq(find(&gap, GAP_COMMIT, 1), 1);
	cr_assert_eq(find(&gap, GAP_COMMIT, 2), 2);
	uint64_t sum = 0;
	uint8_t none[DIGEST_SIZE] = {0};
	gap_match(&gap, GAP_COMMIT, none, 0, collect, &sum);
	cr_assert_eq(sum, 3);
	gap_drop_sealed(&gap);
	cr_assert_eq(find(&gap, GAP_COMMIT, 1), 0);
	cr_assert_eq(find(&gap, GAP_COMMIT, 2), 2);
	gap_fini(&gap);
}

Test(ledger_gap, the_fresh_layer_hides_the_sealed_one)
{
	struct gap gap;
	gap_init(&gap);
	gap.wanted = 1;
	add_one(&gap, GAP_FINGERPRINT, 1, 1);
	gap_seal(&gap);
	add_one(&gap, GAP_FINGERPRINT, 1, 2);
	cr_assert_eq(find(&gap, GAP_FINGERPRINT, 1), 2);
	gap_fini(&gap);
}

Test(ledger_gap, closing_gives_the_rest_and_then_nothing)
{
	struct gap gap;
	gap_init(&gap);
	gap.wanted = 1000000;
	add_one(&gap, GAP_BLOB, 1, 1);
	gap_close(&gap);
	cr_assert_not_null(gap_seal(&gap));
	gap_drop_sealed(&gap);
	cr_assert_null(gap_seal(&gap));
	gap_fini(&gap);
}

Test(ledger_gap, a_few_entries_are_written_when_nothing_follows)
{
	struct gap gap;
	gap_init(&gap);
	gap.wanted = 1000000;
	add_one(&gap, GAP_BLOB, 1, 1);
	uint64_t began = clock_mono_ns();
	cr_assert_not_null(gap_seal(&gap));
	cr_assert_lt(clock_mono_ns() - began, 60 * NS_PER_S);
	gap_fini(&gap);
}

Test(ledger_gap, damage_is_of_a_row_and_not_of_its_successor)
{
	struct gap gap;
	uint8_t digest[DIGEST_SIZE];
	gap_init(&gap);
	sample_digest(digest, "key", 1);
	cr_assert_not(gap_is_damaged(&gap, digest, 5));
	gap_note_damaged(&gap, digest, 5);
	cr_assert(gap_is_damaged(&gap, digest, 5));
	cr_assert_not(gap_is_damaged(&gap, digest, 6));
	gap_fini(&gap);
}
