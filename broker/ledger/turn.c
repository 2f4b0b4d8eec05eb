/* turn.c - see turn.h. */
#include "broker/ledger/turn.h"

#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE (64u << 10)
#define POOL_TURNS_MAX 64
#define POOL_BLOCKS_MAX 64 /* 4 MiB: about one group */

void turn_pool_init(struct turn_pool *pool)
{
	*pool = (struct turn_pool){0};
	pthread_mutex_init(&pool->lock, NULL);
}

static void free_blocks(struct turn_block *block)
{
	while (block) {
		struct turn_block *next = block->next;
		free(block);
		block = next;
	}
}

void turn_pool_fini(struct turn_pool *pool)
{
	while (pool->turns) {
		struct ledger_turn *next = pool->turns->next;
		free(pool->turns);
		pool->turns = next;
	}
	free_blocks(pool->blocks);
	pthread_mutex_destroy(&pool->lock);
}

static struct turn_block *take_block(struct turn_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	struct turn_block *block = pool->blocks;
	if (block) {
		pool->blocks = block->next;
		pool->block_count--;
	}
	pthread_mutex_unlock(&pool->lock);
	if (!block) {
		block = malloc(sizeof *block + BLOCK_SIZE);
		if (!block)
			abort();
		block->size = BLOCK_SIZE;
	}
	return block;
}

struct ledger_turn *turn_take(struct turn_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	struct ledger_turn *t = pool->turns;
	if (t) {
		pool->turns = t->next;
		pool->turn_count--;
	}
	pthread_mutex_unlock(&pool->lock);
	if (!t)
		t = mem_alloc(sizeof *t);
	*t = (struct ledger_turn){.pool = pool};
	t->last = &t->first;
	return t;
}

void turn_give_back(struct ledger_turn *t)
{
	struct turn_pool *pool = t->pool;
	struct turn_block *spare = NULL;
	bool keep;
	pthread_mutex_lock(&pool->lock);
	for (struct turn_block *block = t->blocks, *next; block; block = next) {
		next = block->next;
		bool pooled =
			block->size == BLOCK_SIZE && pool->block_count < POOL_BLOCKS_MAX;
		struct turn_block **to = pooled ? &pool->blocks : &spare;
		pool->block_count += pooled;
		block->next = *to;
		*to = block;
	}
	keep = pool->turn_count < POOL_TURNS_MAX;
	if (keep) {
		t->next = pool->turns;
		pool->turns = t;
		pool->turn_count++;
	}
	pthread_mutex_unlock(&pool->lock);
	if (!keep)
		free(t);
	free_blocks(spare);
}

/* What does not fit into a block gets one of its own, behind the newest, which stays in use. */
static void *take_large(struct ledger_turn *t, size_t size)
{
	struct turn_block *block = malloc(sizeof *block + size);
	if (!block)
		abort();
	block->size = size;
	if (t->blocks) {
		block->next = t->blocks->next;
		t->blocks->next = block;
	} else {
		block->next = NULL;
		t->blocks = block;
		t->at = t->end = block->data + size;
	}
	return block->data;
}

static void *take(struct ledger_turn *t, size_t size)
{
	size = (size + 15) & ~(size_t)15;
	t->bytes += size;
	if (size > (size_t)(t->end - t->at)) {
		if (size > BLOCK_SIZE / 4)
			return take_large(t, size);
		struct turn_block *block = take_block(t->pool);
		block->next = t->blocks;
		t->blocks = block;
		t->at = block->data;
		t->end = block->data + block->size;
	}
	void *memory = t->at;
	t->at += size;
	return memory;
}

const void *turn_copy(struct ledger_turn *t, const void *data, size_t size)
{
	if (!size)
		return "";
	return memcpy(take(t, size), data, size);
}

static const char *copy_text(struct ledger_turn *t, const char *text)
{
	return text ? turn_copy(t, text, strlen(text) + 1) : "";
}

struct turn_record *turn_add(struct ledger_turn *t, enum turn_type type, uint64_t batch,
			     uint32_t number, size_t size)
{
	struct turn_record *record = take(t, size);
	record->next = NULL;
	record->type = type;
	record->batch = batch;
	record->number = number;
	*t->last = record;
	t->last = &record->next;
	return record;
}

void ledger_turn_may_wait(struct ledger_turn *t, uint64_t ns)
{
	t->may_wait_ns = ns;
}

bool ledger_turn_empty(const struct ledger_turn *t)
{
	return !t->first;
}

void ledger_add_batch(struct ledger_turn *t, const struct ledger_batch *batch)
{
	turn_add(t, TURN_BATCH, batch->batch, 0, TURN_RECORD_SIZE(opened))->opened =
		*batch;
}

void ledger_add_chunk(struct ledger_turn *t, uint64_t batch, uint32_t chunk,
		      const void *data, size_t size)
{
	struct turn_record *r =
		turn_add(t, TURN_CHUNK, batch, chunk, TURN_RECORD_SIZE(bytes));
	r->bytes.data = turn_copy(t, data, size);
	r->bytes.size = size;
}

void ledger_add_sealed(struct ledger_turn *t, uint64_t batch, uint32_t task_count)
{
	turn_add(t, TURN_SEALED, batch, task_count, TURN_RECORD_BARE);
}

void ledger_add_discarded(struct ledger_turn *t, uint64_t batch)
{
	turn_add(t, TURN_DISCARDED, batch, 0, TURN_RECORD_BARE);
}

void ledger_add_end(struct ledger_turn *t, uint64_t batch, const struct ledger_end *end)
{
	turn_add(t, TURN_END, batch, 0, TURN_RECORD_SIZE(end))->end = *end;
}

void ledger_add_lease(struct ledger_turn *t, uint64_t batch,
		      const struct ledger_lease *lease)
{
	turn_add(t, TURN_LEASE, batch, 0, TURN_RECORD_SIZE(lease))->lease = *lease;
}

void ledger_add_checkpoint(struct ledger_turn *t, uint64_t batch,
			   const struct ledger_checkpoint *checkpoint)
{
	struct turn_record *r =
		turn_add(t, TURN_CHECKPOINT, batch, 0, TURN_RECORD_SIZE(checkpoint));
	r->checkpoint = *checkpoint;
	r->checkpoint.body = turn_copy(t, checkpoint->body, checkpoint->size);
}

void ledger_add_batch_ended(struct ledger_turn *t, uint64_t batch,
			    const struct core_counts *counts, uint64_t wall_ms)
{
	struct turn_record *r =
		turn_add(t, TURN_BATCH_ENDED, batch, 0, TURN_RECORD_SIZE(ended));
	r->ended.counts = *counts;
	r->ended.wall_ms = wall_ms;
}

void ledger_add_paused(struct ledger_turn *t, uint64_t batch, uint32_t function)
{
	turn_add(t, TURN_PAUSE, batch, function + 1, TURN_RECORD_BARE);
}

void ledger_add_resumed(struct ledger_turn *t, uint64_t batch)
{
	turn_add(t, TURN_PAUSE, batch, 0, TURN_RECORD_BARE);
}

void ledger_add_commit(struct ledger_turn *t, uint64_t seq, uint64_t parent_seq,
		       bool current, const struct commit *c)
{
	struct turn_record *r =
		turn_add(t, TURN_COMMIT, seq, 0, TURN_RECORD_SIZE(commit));
	struct commit *to = &r->commit.commit;
	r->commit.parent_seq = parent_seq;
	r->commit.current = current;
	*to = *c;
	to->name = copy_text(t, c->name);
	to->args = turn_copy(t, c->args, c->args_size);
	to->error = copy_text(t, c->error);
	to->worker_name = copy_text(t, c->worker_name);
	to->options = turn_copy(t, c->options, c->options_size);
	struct commit_output *outputs = take(t, c->output_count * sizeof *outputs);
	for (size_t i = 0; i < c->output_count; i++) {
		outputs[i] = c->outputs[i];
		outputs[i].name = copy_text(t, c->outputs[i].name);
		outputs[i].path = copy_text(t, c->outputs[i].path);
	}
	to->outputs = outputs;
	struct commit_metric *metrics = take(t, c->metric_count * sizeof *metrics);
	for (size_t i = 0; i < c->metric_count; i++) {
		metrics[i] = c->metrics[i];
		metrics[i].name = copy_text(t, c->metrics[i].name);
		if (c->metrics[i].is_text)
			metrics[i].text = copy_text(t, c->metrics[i].text);
	}
	to->metrics = metrics;
}

void ledger_add_blob(struct ledger_turn *t, const uint8_t digest[DIGEST_SIZE],
		     const void *data, size_t size)
{
	struct turn_record *r = turn_add(t, TURN_BLOB, 0, 0, TURN_RECORD_SIZE(bytes));
	r->bytes.data = turn_copy(t, data, size);
	r->bytes.size = size;
	memcpy(r->bytes.digest, digest, DIGEST_SIZE);
}
