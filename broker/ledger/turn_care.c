/* turn_care.c - records of a turn that remove, name, count and import. */
#include "broker/ledger/tags.h"
#include "broker/ledger/turn.h"

#include <string.h>

void ledger_add_commit_removed(struct ledger_turn *t, uint64_t seq)
{
	turn_add(t, TURN_COMMIT_GONE, seq, 0, TURN_RECORD_BARE);
}

void ledger_add_demoted(struct ledger_turn *t, uint64_t seq)
{
	turn_add(t, TURN_DEMOTED, seq, 0, TURN_RECORD_BARE);
}

void ledger_add_blob_removed(struct ledger_turn *t, const uint8_t digest[DIGEST_SIZE],
			     uint64_t seq)
{
	struct turn_record *r =
		turn_add(t, TURN_BLOB_GONE, seq, 0, TURN_RECORD_SIZE(bytes));
	memcpy(r->bytes.digest, digest, DIGEST_SIZE);
}

void ledger_add_batch_removed(struct ledger_turn *t, uint64_t batch)
{
	turn_add(t, TURN_BATCH_GONE, batch, 0, TURN_RECORD_BARE);
}

void ledger_add_pin(struct ledger_turn *t, const char *name,
		    const uint8_t hash[DIGEST_SIZE], uint64_t wall_ms)
{
	struct turn_record *r = turn_add(t, TURN_PIN, 0, 0, TURN_RECORD_SIZE(pin));
	r->pin.name = turn_copy(t, name, strlen(name) + 1);
	r->pin.wall_ms = wall_ms;
	memcpy(r->pin.hash, hash, DIGEST_SIZE);
}

void ledger_add_unpin(struct ledger_turn *t, const char *name)
{
	turn_add(t, TURN_UNPIN, 0, 0, TURN_RECORD_SIZE(pin))->pin.name =
		turn_copy(t, name, strlen(name) + 1);
}

void ledger_add_counters(struct ledger_turn *t, const struct ledger_counters *delta)
{
	turn_add(t, TURN_COUNTERS, 0, 0, TURN_RECORD_SIZE(counters))->counters = *delta;
}

int ledger_add_staged(struct ledger_turn *t, uint64_t import, bool current,
		      const void *body, size_t size, const struct ledger_tag *tags,
		      size_t tag_count)
{
	CLEANUP_BUF struct buf arena = {0}, packed = {0};
	struct commit c;
	if (commit_decode(body, size, &c, &arena))
		return 1;
	tags_pack(&packed, tags, tag_count);
	struct turn_record *r =
		turn_add(t, TURN_STAGED, import, 0, TURN_RECORD_SIZE(staged));
	r->staged.body = turn_copy(t, body, size);
	r->staged.size = size;
	r->staged.tags = turn_copy(t, packed.data, packed.size);
	r->staged.tags_size = packed.size;
	r->staged.current = current && c.status == COMMIT_COMPLETED;
	return 0;
}

void ledger_add_staged_taken(struct ledger_turn *t, uint64_t import, uint64_t first)
{
	turn_add(t, TURN_STAGED_TAKEN, import, 0, TURN_RECORD_SIZE(first))->first = first;
}

void ledger_add_staged_demoted(struct ledger_turn *t, uint64_t import, uint32_t nth)
{
	turn_add(t, TURN_STAGED_DEMOTED, import, nth, TURN_RECORD_BARE);
}

void ledger_add_staged_dropped(struct ledger_turn *t, uint64_t import)
{
	turn_add(t, TURN_STAGED_DROPPED, import, 0, TURN_RECORD_BARE);
}
