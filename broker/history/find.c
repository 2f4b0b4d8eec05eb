/* find.c - batches and commits by what people call them. */
#include "broker/history/parts.h"

#include "common/pure/hex.h"
#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define CANDIDATES 8

static int unreadable(struct err *e, int rc)
{
	err_set(e, ERR_FAILED, "the store cannot be read: %s", strerror(-rc));
	err_next(e, "cashet fsck says what is wrong with it");
	return ERR_FAILED;
}

/* ---- batches ---- */

static int no_batch(struct err *e, const Cashet__BatchRef *ref, unsigned nibbles)
{
	char hex[HEX_DIGEST_SIZE] = "";
	if (ref)
		hex_encode(hex, ref->prefix.data, ref->prefix.len);
	hex[nibbles] = '\0';
	if (nibbles)
		err_set(e, ERR_NOT_FOUND, "no batch begins with %s", hex);
	else
		err_set(e, ERR_NOT_FOUND, "there is no batch yet");
	err_next(e, "cashet ps --all lists them");
	return ERR_NOT_FOUND;
}

static int several_batches(struct err *e, const struct ledger_batch_row *rows,
			   size_t count)
{
	CLEANUP_BUF struct buf what = {0};
	char hex[HEX_DIGEST_SIZE];
	buf_add_str(&what, "several batches begin like this:");
	for (size_t i = 0; i < count; i++)
		buf_printf(&what, "\n  %s",
			   hex_encode(hex, rows[i].batch.id, DIGEST_SIZE));
	err_set(e, ERR_AMBIGUOUS, "%s", buf_cstr(&what));
	err_next(e, "give more digits");
	return ERR_AMBIGUOUS;
}

int history_find_batch(struct ledger_reader *reader, const Cashet__BatchRef *ref,
		       struct ledger_batch_row *row, struct err *e)
{
	size_t size = ref ? ref->prefix.len : 0;
	unsigned nibbles = (unsigned)(2 * size - (ref && ref->odd && size ? 1 : 0));
	if (size > DIGEST_SIZE || (nibbles && nibbles < 4))
		return err_set(e, ERR_USAGE,
			       "a batch is named by 4 to 64 hexadecimal digits");
	struct ledger_batch_row rows[CANDIDATES];
	uint8_t prefix[DIGEST_SIZE] = {0};
	size_t count = 0;
	if (size)
		memcpy(prefix, ref->prefix.data, size);
	int rc = ledger_find_batch(reader, prefix, nibbles, rows, CANDIDATES, &count);
	if (rc < 0)
		return unreadable(e, rc);
	if (rc == 2)
		return several_batches(e, rows, count);
	if (rc)
		return no_batch(e, ref, nibbles);
	*row = rows[0];
	return 0;
}

int history_row(struct history *h, const Cashet__BatchRef *ref,
		const struct history_live *live, struct ledger_batch_row *row,
		struct err *e)
{
	if (live->has_row) {
		*row = live->row;
		return 0;
	}
	int rc = history_find_batch(history_reader(h), ref, row, e);
	if (rc == 0)
		history_count(h, row);
	return rc;
}

static int keep_end(void *arg, const struct ledger_end *end)
{
	struct ends *e = arg;
	if (end->index < e->count)
		e->items[end->index] = *end;
	return 0;
}

const struct ends *history_ends(struct history *h, const struct ledger_batch_row *row)
{
	struct ends *e = &h->ends;
	if (e->number == row->batch.batch && e->items)
		return e;
	free(e->items);
	e->number = row->ended ? row->batch.batch : 0;
	e->count = row->task_count;
	e->items = mem_alloc(((size_t)e->count + 1) * sizeof *e->items);
	for (uint32_t i = 0; i < e->count; i++)
		e->items[i].index = i;
	ledger_each_end(history_reader(h), row->batch.batch, keep_end, e);
	return e;
}

void history_count(struct history *h, struct ledger_batch_row *row)
{
	struct core_counts *c = &row->counts;
	if (row->ended)
		return;
	const struct ends *ends = history_ends(h, row);
	*c = (struct core_counts){.total = row->task_count};
	for (uint32_t i = 0; i < ends->count; i++) {
		const struct ledger_end *end = &ends->items[i];
		switch ((enum core_task_status)end->status) {
		case CORE_WAITING:
		case CORE_READY:
		case CORE_RUNNING:
			c->waiting++;
			break;
		case CORE_COMPLETED:
			c->cached += end->flags & 1;
			c->deduplicated += !(end->flags & 1) && end->flags & 2;
			c->executed += !(end->flags & 3);
			break;
		case CORE_FAILED:
			c->failed++;
			break;
		case CORE_SKIPPED:
			c->skipped++;
			break;
		case CORE_CANCELLED:
			c->cancelled++;
			break;
		}
	}
}

void history_add_info(struct history *h, struct buf *out, unsigned field, uint64_t number)
{
	CLEANUP_BUF struct buf chunk = {0};
	if (ledger_read_chunk(history_reader(h), number, 0, &chunk))
		return;
	size_t mark = pb_open(out, field);
	specs_info(out, &chunk);
	pb_close(out, mark);
}

/* ---- commits ---- */

static int several_commits(struct history *h, const uint64_t *seqs, size_t count,
			   struct err *e)
{
	CLEANUP_BUF struct buf what = {0};
	char hex[HEX_DIGEST_SIZE];
	uint8_t hash[DIGEST_SIZE];
	buf_add_str(&what, "several commits begin like this:");
	for (size_t i = 0; i < count; i++) {
		buf_reset(&h->pager.body);
		if (!ledger_read_commit(history_reader(h), seqs[i], &h->pager.body, hash))
			buf_printf(&what, "\n  %s", hex_encode(hex, hash, DIGEST_SIZE));
	}
	err_set(e, ERR_AMBIGUOUS, "%s", buf_cstr(&what));
	err_next(e, "give more digits");
	return ERR_AMBIGUOUS;
}

int history_find_commit(struct history *h, const uint8_t *prefix, unsigned nibbles,
			uint64_t *seqp, struct err *e)
{
	uint64_t seqs[CANDIDATES];
	char hex[HEX_DIGEST_SIZE];
	size_t count = 0;
	int rc = ledger_find_commit(history_reader(h), prefix, nibbles, seqs, CANDIDATES,
				    &count);
	if (rc < 0)
		return unreadable(e, rc);
	if (rc == 2)
		return several_commits(h, seqs, count, e);
	if (rc == 0) {
		*seqp = seqs[0];
		return 0;
	}
	hex_encode(hex, prefix, (nibbles + 1) / 2);
	hex[nibbles] = '\0';
	err_set(e, ERR_NOT_FOUND, "no commit begins with %s", hex);
	err_next(e, "cashet log lists them, cashet results those of a batch");
	return ERR_NOT_FOUND;
}
