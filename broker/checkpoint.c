/* checkpoint.c - see checkpoint.h. */
#include "broker/checkpoint.h"

#include "common/log.h"
#include "common/pure/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LEFT_OUT_MAX 4096

struct checkpoint {
	struct map_node by_work;
	struct list node;
	uint64_t batch;
	struct ledger_checkpoint row; /* body: a packed cashet.Checkpoint, ours */
};

struct checkpoints {
	struct map by_work;
	struct list all;
	bool look;
};

void checkpoints_init(struct broker *b)
{
	b->checkpoints = mem_alloc(sizeof *b->checkpoints);
	list_init(&b->checkpoints->all);
}

static void forget(struct checkpoints *all, struct checkpoint *c)
{
	map_remove(&all->by_work, &c->by_work);
	list_del(&c->node);
	free((void *)(uintptr_t)c->row.body);
	free(c);
}

void checkpoints_fini(struct broker *b)
{
	struct checkpoints *all = b->checkpoints;
	if (!all)
		return;
	while (!list_empty(&all->all))
		forget(all, container_of(all->all.next, struct checkpoint, node));
	map_fini(&all->by_work);
	free(all);
	b->checkpoints = NULL;
}

/* ---- by work ---- */

static uint64_t hash_of(const uint8_t func_hash[DIGEST_SIZE],
			const uint8_t args_hash[DIGEST_SIZE])
{
	return map_hash(func_hash, DIGEST_SIZE) ^
	       map_hash(args_hash, DIGEST_SIZE) * 0x9e3779b97f4a7c15ull;
}

static struct checkpoint *find(struct broker *b, const struct core_lease *lease)
{
	struct map *map = &b->checkpoints->by_work;
	if (!map->count)
		return NULL;
	for (struct map_node *n =
		     map_first(map, hash_of(lease->func_hash, lease->args_hash));
	     n; n = map_next(n)) {
		struct checkpoint *c = container_of(n, struct checkpoint, by_work);
		const struct ledger_checkpoint *row = &c->row;
		if (!memcmp(row->func_hash, lease->func_hash, DIGEST_SIZE) &&
		    !memcmp(row->args_hash, lease->args_hash, DIGEST_SIZE) &&
		    row->has_nonce == lease->has_nonce &&
		    (!row->has_nonce || !memcmp(row->nonce, lease->nonce, NONCE_SIZE)))
			return c;
	}
	return NULL;
}

static struct checkpoint *add(struct broker *b, uint64_t batch,
			      const struct ledger_checkpoint *row)
{
	struct checkpoints *all = b->checkpoints;
	struct checkpoint *c = mem_alloc(sizeof *c);
	c->batch = batch;
	c->row = *row;
	c->row.body = mem_copy(row->body, row->size);
	list_init(&c->node);
	list_add_tail(&all->all, &c->node);
	map_add(&all->by_work, &c->by_work, hash_of(row->func_hash, row->args_hash));
	return c;
}

/* The rows of a batch that has ended are gone, and nothing is written for it any more. */
static bool is_open(struct broker *b, uint64_t number)
{
	const struct batch *batch = batch_find_number(b, number);
	return batch && !batch->ended;
}

static void drop(struct broker *b, struct checkpoint *c)
{
	c->row.size = 0;
	if (is_open(b, c->batch))
		ledger_add_checkpoint(b->turn, c->batch, &c->row);
	forget(b->checkpoints, c);
}

/* ---- what reports bring ---- */

const char *checkpoint_check(const Cashet__Outcome *o)
{
	const Cashet__Checkpoint *c = o->checkpoint;
	if (!c)
		return NULL;
	if (o->kind != CASHET__OUTCOME__KIND__FAILED &&
	    o->kind != CASHET__OUTCOME__KIND__TIMED_OUT &&
	    o->kind != CASHET__OUTCOME__KIND__LOST)
		return "a checkpoint where there is nothing to go on with";
	if (strlen(c->left_out) > LEFT_OUT_MAX)
		return "a reason over 4 KiB";
	if (c->content && (c->content->type != CONTENT_TREE ||
			   !wire_is(&c->content->digest, DIGEST_SIZE)))
		return "a checkpoint that is not a folder";
	return NULL;
}

/* What the next attempt is to be told: an older folder is better than none. */
static void *pack(const Cashet__Checkpoint *brought, const struct checkpoint *old,
		  size_t *sizep)
{
	Cashet__Checkpoint merged = *brought, *before = NULL;
	if (!brought->content && old)
		before = cashet__checkpoint__unpack(NULL, old->row.size, old->row.body);
	if (before)
		merged.content = before->content;
	*sizep = cashet__checkpoint__get_packed_size(&merged);
	uint8_t *body = mem_alloc(*sizep);
	cashet__checkpoint__pack(&merged, body);
	if (before)
		cashet__checkpoint__free_unpacked(before, NULL);
	return body;
}

void checkpoint_take(struct broker *b, const Cashet__Outcome *o)
{
	struct core_lease lease;
	struct ledger_checkpoint row = {0};
	uint64_t batch;
	if (!o->checkpoint || worker_lease(b, o->lease, &lease, &batch) ||
	    !core_has_execution(b->core, lease.func_hash, lease.args_hash,
				lease.has_nonce ? lease.nonce : NULL))
		return;
	struct checkpoint *old = find(b, &lease);
	if (!o->checkpoint->content && !o->checkpoint->left_out[0]) {
		if (old)
			drop(b, old);
		return;
	}
	row.index = lease.index;
	memcpy(row.func_hash, lease.func_hash, DIGEST_SIZE);
	memcpy(row.args_hash, lease.args_hash, DIGEST_SIZE);
	row.has_nonce = lease.has_nonce;
	memcpy(row.nonce, lease.nonce, NONCE_SIZE);
	CLEANUP_FREE void *body = pack(o->checkpoint, old, &row.size);
	row.body = body;
	if (old && (old->batch != batch || old->row.index != row.index))
		drop(b, old);
	else if (old)
		forget(b->checkpoints, old);
	add(b, batch, &row);
	if (is_open(b, batch))
		ledger_add_checkpoint(b->turn, batch, &row);
	if (o->checkpoint->left_out[0])
		log_warn("checkpoint left out", "batch=%" PRIu64 " task=%u why=\"%s\"",
			 batch, row.index, o->checkpoint->left_out);
}

const void *checkpoint_find(struct broker *b, const struct core_lease *lease,
			    size_t *sizep)
{
	const struct checkpoint *c = find(b, lease);
	*sizep = c ? c->row.size : 0;
	return c ? c->row.body : NULL;
}

void checkpoint_drop(struct broker *b, const struct core_lease *lease)
{
	struct checkpoint *c = find(b, lease);
	if (c)
		drop(b, c);
}

/* ---- those that nobody wants ---- */

void checkpoints_look(struct broker *b)
{
	b->checkpoints->look = b->checkpoints->by_work.count > 0;
}

/* After a restart the work shows only once the inputs of its task are known again. */
static bool is_wanted(struct broker *b, const struct checkpoint *c)
{
	const struct ledger_checkpoint *row = &c->row;
	struct core_task_view view;
	if (core_has_execution(b->core, row->func_hash, row->args_hash,
			       row->has_nonce ? row->nonce : NULL))
		return true;
	return core_view_task(b->core, c->batch, row->index, &view) == 0 &&
	       (view.status == CORE_WAITING || view.status == CORE_READY ||
		view.status == CORE_RUNNING);
}

void checkpoints_sweep(struct broker *b)
{
	struct list *at, *next;
	if (!b->checkpoints->look)
		return;
	b->checkpoints->look = false;
	list_for_each_safe (at, next, &b->checkpoints->all) {
		struct checkpoint *c = container_of(at, struct checkpoint, node);
		if (!is_wanted(b, c))
			forget(b->checkpoints, c);
	}
}

/* ---- recovery ---- */

struct replay {
	struct broker *b;
	uint64_t batch;
};

static int replay_one(void *arg, const struct ledger_checkpoint *row)
{
	const struct replay *r = arg;
	struct core_lease lease = {.has_nonce = row->has_nonce};
	memcpy(lease.func_hash, row->func_hash, DIGEST_SIZE);
	memcpy(lease.args_hash, row->args_hash, DIGEST_SIZE);
	memcpy(lease.nonce, row->nonce, NONCE_SIZE);
	struct checkpoint *old = find(r->b, &lease);
	if (old) /* two batches recorded one: the later batch, the later lease */
		forget(r->b->checkpoints, old);
	add(r->b, r->batch, row);
	return 0;
}

void checkpoints_replay(struct broker *b, uint64_t batch)
{
	struct replay r = {b, batch};
	ledger_each_checkpoint(b->reader, batch, replay_one, &r);
	checkpoints_look(b);
}
