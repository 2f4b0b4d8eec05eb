/* batch.c - see batch.h. */
#include "broker/broker.h"

#include "common/log.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "proto/pb.h"

#include <stdlib.h>
#include <string.h>

#define ORPHANS_AT_ONCE 256
#define ORPHAN_NS (60 * NS_PER_S)

static void free_def(struct broker *b, struct function_def *def);

void batches_init(struct broker *b)
{
	list_init(&b->batches.unsealed);
	list_init(&b->batches.dirty);
	list_init(&b->batches.idle_functions);
}

static uint64_t digest_hash(const uint8_t digest[DIGEST_SIZE])
{
	return map_hash(digest, DIGEST_SIZE);
}

struct batch *batches_find(struct broker *b, const uint8_t id[DIGEST_SIZE])
{
	for (struct map_node *n = map_first(&b->batches.by_id, digest_hash(id)); n;
	     n = map_next(n)) {
		struct batch *batch = container_of(n, struct batch, by_id);
		if (!memcmp(batch->id, id, DIGEST_SIZE))
			return batch;
	}
	return NULL;
}

struct batch *batch_find_number(struct broker *b, uint64_t number)
{
	for (struct map_node *n =
		     map_first(&b->batches.by_number, map_hash_number(number));
	     n; n = map_next(n)) {
		struct batch *batch = container_of(n, struct batch, by_number);
		if (batch->number == number)
			return batch;
	}
	return NULL;
}

void batch_make_id(uint8_t id[DIGEST_SIZE], const uint8_t key[KEY_SIZE],
		   const uint8_t request[NONCE_SIZE])
{
	uint8_t both[KEY_SIZE + NONCE_SIZE];
	memcpy(both, key, KEY_SIZE);
	memcpy(both + KEY_SIZE, request, NONCE_SIZE);
	sha256_digest(both, sizeof both, id);
}

struct batch *batch_new(struct broker *b, uint64_t number, const uint8_t id[DIGEST_SIZE],
			const uint8_t client_key[KEY_SIZE],
			const uint8_t request[NONCE_SIZE])
{
	struct batch *batch = mem_alloc(sizeof *batch);
	batch->number = number;
	memcpy(batch->id, id, DIGEST_SIZE);
	memcpy(batch->client_key, client_key, KEY_SIZE);
	memcpy(batch->request, request, NONCE_SIZE);
	batch->orphan_ns = b->now;
	list_init(&batch->watches);
	list_init(&batch->dirty);
	list_init(&batch->unsealed);
	list_add_tail(&b->batches.unsealed, &batch->unsealed);
	map_add(&b->batches.by_id, &batch->by_id, digest_hash(id));
	map_add(&b->batches.by_number, &batch->by_number, map_hash_number(number));
	return batch;
}

void batch_free(struct broker *b, struct batch *batch)
{
	watch_remove_batch(batch);
	b->batch_was_large |= batch->task_count >= BATCH_LARGE;
	map_remove(&b->batches.by_id, &batch->by_id);
	map_remove(&b->batches.by_number, &batch->by_number);
	list_del(&batch->unsealed);
	list_del(&batch->dirty);
	for (uint32_t i = 0; i < batch->function_count; i++) {
		function_def_put(b, batch->functions[i].def);
		free(batch->functions[i].name);
		free(batch->functions[i].env);
	}
	for (uint32_t i = 0; i < batch->option_count; i++)
		free(batch->options[i].packed);
	free(batch->functions);
	free(batch->options);
	free(batch->name);
	free(batch->stuck);
	free(batch);
}

void batches_fini(struct broker *b)
{
	struct map_node *n;
	while ((n = map_any(&b->batches.by_id)))
		batch_free(b, container_of(n, struct batch, by_id));
	map_fini(&b->batches.by_id);
	map_fini(&b->batches.by_number);
	while (b->batches.idle_count)
		free_def(b, container_of(b->batches.idle_functions.next,
					 struct function_def, idle));
	assert(!b->batches.functions.count);
	map_fini(&b->batches.functions);
}

void batch_touch(struct broker *b, struct batch *batch)
{
	if (list_empty(&batch->dirty) && !list_empty(&batch->watches))
		list_add_tail(&b->batches.dirty, &batch->dirty);
}

/* ---- functions and options ---- */

struct function_def *function_def_find(struct broker *b, const uint8_t hash[DIGEST_SIZE])
{
	for (struct map_node *n = map_first(&b->batches.functions, digest_hash(hash)); n;
	     n = map_next(n)) {
		struct function_def *def = container_of(n, struct function_def, by_hash);
		if (!memcmp(def->hash, hash, DIGEST_SIZE))
			return def;
	}
	return NULL;
}

struct function_def *function_def_get(struct broker *b, const void *data, size_t size)
{
	uint8_t hash[DIGEST_SIZE];
	sha256_digest(data, size, hash);
	struct function_def *def = function_def_find(b, hash);
	if (def) {
		if (!def->refs++) {
			list_del(&def->idle);
			b->batches.idle_count--;
		}
		return def;
	}
	struct function decoded;
	if (function_decode(data, size, &decoded))
		return NULL;
	def = mem_alloc(sizeof *def);
	def->refs = 1;
	list_init(&def->idle);
	def->decoded = decoded;
	memcpy(def->hash, hash, DIGEST_SIZE);
	def->description = mem_copy(data, size);
	def->description_size = size;
	map_add(&b->batches.functions, &def->by_hash, digest_hash(hash));
	return def;
}

static void free_def(struct broker *b, struct function_def *def)
{
	list_del(&def->idle);
	b->batches.idle_count--;
	map_remove(&b->batches.functions, &def->by_hash);
	function_fini(&def->decoded);
	free(def->description);
	free(def);
}

void function_def_put(struct broker *b, struct function_def *def)
{
	if (!def || --def->refs)
		return;
	list_add_tail(&b->batches.idle_functions, &def->idle);
	if (++b->batches.idle_count > FUNCTIONS_IDLE_MAX)
		free_def(b, container_of(b->batches.idle_functions.next,
					 struct function_def, idle));
}

void batch_add_function(struct broker *b, struct batch *batch, struct function_def *def,
			const Cashet__Function *f)
{
	mem_grow(batch->functions, batch->function_count, batch->function_capacity);
	struct batch_function *to = &batch->functions[batch->function_count++];
	*to = (struct batch_function){.def = def, .options = f->options};
	def->refs++;
	to->name = mem_strdup(f->name);
	to->has_source = def->has_source = f->source.len == DIGEST_SIZE;
	if (to->has_source) {
		memcpy(to->source, f->source.data, DIGEST_SIZE);
		memcpy(def->source, f->source.data, DIGEST_SIZE);
	}
	CLEANUP_BUF struct buf env = {0};
	for (size_t i = 0; i < f->n_env; i++) {
		size_t mark = pb_open(&env, 7); /* Assignment.env */
		pb_text(&env, 1, f->env[i]->key);
		pb_text(&env, 2, f->env[i]->value);
		pb_close(&env, mark);
	}
	assert(!env.failed);
	if (env.size)
		to->env = mem_copy(env.data, env.size);
	to->env_size = env.size;
}

void batch_add_options(struct batch *batch, const Cashet__Options *o)
{
	mem_grow(batch->options, batch->option_count, batch->option_capacity);
	struct batch_options *to = &batch->options[batch->option_count++];
	to->packed_size = cashet__options__get_packed_size(o);
	to->packed = mem_alloc(to->packed_size + 1);
	cashet__options__pack(o, to->packed);
	to->ttl_s = o->ttl_s;
	to->timeout_ns = o->timeout_ns;
}

/* ---- unsealed batches of clients that are gone ---- */

static bool client_is_here(struct broker *b, const struct batch *batch)
{
	struct list *at;
	list_for_each (at, &b->peers.all) {
		struct peer *peer = container_of(at, struct peer, node);
		if (peer->kind == PEER_CLIENT &&
		    !memcmp(peer->key, batch->client_key, KEY_SIZE))
			return true;
	}
	return false;
}

static struct batch *find_orphan(struct broker *b)
{
	struct list *at;
	list_for_each (at, &b->batches.unsealed) {
		struct batch *batch = container_of(at, struct batch, unsealed);
		if (client_is_here(b, batch))
			batch->orphan_ns = b->now;
		else if (b->now - batch->orphan_ns >= ORPHAN_NS)
			return batch;
	}
	return NULL;
}

void batches_orphans(struct broker *b)
{
	struct batch *batch;
	/* The list may look quite different after each; what is left is seen to in a second. */
	for (int i = 0; i < ORPHANS_AT_ONCE && (batch = find_orphan(b)); i++) {
		log_info("batch discarded",
			 "batch=%llu why=its client left before the end",
			 (unsigned long long)batch->number);
		struct core_event event = {.type = CORE_EV_BATCH_DISCARD,
					   .batch = batch->number};
		broker_step(b, &event);
	}
}
