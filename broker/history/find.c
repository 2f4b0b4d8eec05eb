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

static void forget_batch(struct history_batch *b)
{
	specs_free(b->specs);
	free(b->ends.items);
	*b = (struct history_batch){0};
}

void history_forget_batches(struct history *h)
{
	for (size_t i = 0; i < HISTORY_BATCHES; i++)
		forget_batch(&h->batches[i]);
}

static struct history_batch *get_batch(struct history *h, uint64_t number)
{
	struct history_batch *oldest = &h->batches[0];
	for (size_t i = 0; i < HISTORY_BATCHES; i++) {
		struct history_batch *b = &h->batches[i];
		if (b->number == number) {
			oldest = b;
			break;
		}
		if (b->used < oldest->used)
			oldest = b;
	}
	if (oldest->number != number)
		forget_batch(oldest);
	oldest->number = number;
	oldest->used = ++h->uses;
	return oldest;
}

struct specs *history_specs(struct history *h, const struct ledger_batch_row *row)
{
	struct history_batch *b = get_batch(h, row->batch.batch);
	return specs_get(&b->specs, history_reader(h), row);
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
	struct ends *e = &get_batch(h, row->batch.batch)->ends;
	if (e->kept)
		return e;
	free(e->items);
	e->kept = row->ended;
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

int history_find_hash(struct history *h, const uint8_t hash[DIGEST_SIZE], uint64_t *seqp)
{
	size_t count = 0;
	return ledger_find_commit(history_reader(h), hash, 2 * DIGEST_SIZE, seqp, 1,
				  &count) != 0;
}

static int find_pin(struct history *h, const char *name, uint64_t *seqp, struct err *e)
{
	uint8_t hash[DIGEST_SIZE];
	int rc = ledger_find_pin(history_reader(h), name, hash);
	if (rc < 0)
		return unreadable(e, rc);
	if (rc) {
		err_set(e, ERR_NOT_FOUND,
			"\"%s\" is neither a pin nor 4 or more digits of a hash", name);
		err_next(e, "cashet pins lists the pins, cashet log the commits");
		return ERR_NOT_FOUND;
	}
	if (history_find_hash(h, hash, seqp))
		return err_set(e, ERR_NOT_FOUND,
			       "the commit that \"%s\" stands for is not in the store",
			       name);
	return 0;
}

static int find_task(struct history *h, const Cashet__Target *target, uint64_t *seqp,
		     struct err *e)
{
	struct ledger_batch_row row;
	char hex[HEX_DIGEST_SIZE];
	int rc = history_find_batch(history_reader(h), target->batch, &row, e);
	if (rc)
		return rc;
	hex_encode(hex, row.batch.id, DIGEST_SIZE);
	if (target->index >= row.task_count)
		return err_set(e, ERR_NOT_FOUND,
			       "batch %.8s has no task %u: it has %u, from 0 on", hex,
			       target->index, row.task_count);
	const struct ledger_end *end = &history_ends(h, &row)->items[target->index];
	*seqp = end->commit;
	if (end->commit && history_has(h, end->commit))
		return 0;
	if (end->commit) {
		err_set(e, ERR_NOT_FOUND,
			"the commit that task %.8s:%u ended with was removed", hex,
			target->index);
		err_next(e,
			 "cashet retry %.8s runs what was removed again, as a new batch",
			 hex);
		return ERR_NOT_FOUND;
	}
	err_set(e, ERR_NOT_FOUND, "task %.8s:%u has no commit: it %s", hex, target->index,
		end->status == CORE_SKIPPED	? "was skipped"
		: end->status == CORE_CANCELLED ? "was cancelled"
						: "has not ended");
	err_next(e, "cashet why %.8s:%u", hex, target->index);
	return ERR_NOT_FOUND;
}

int history_find_target(struct history *h, const Cashet__Target *target, uint64_t *seqp,
			struct err *e)
{
	size_t size = target ? target->prefix.len : 0;
	unsigned nibbles = (unsigned)(2 * size - (size && target->odd ? 1 : 0));
	uint8_t prefix[DIGEST_SIZE];
	if (target && target->is_task)
		return find_task(h, target, seqp, e);
	if (target && *target->name)
		return find_pin(h, target->name, seqp, e);
	if (size > DIGEST_SIZE || nibbles < 4)
		return err_set(e, ERR_USAGE,
			       "a commit is named by 4 to 64 hexadecimal digits");
	memcpy(prefix, target->prefix.data, size);
	return history_find_commit(h, prefix, nibbles, seqp, e);
}
