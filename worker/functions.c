/* functions.c - see functions.h. */
#include "worker/functions.h"

#include "common/pure/mem.h"
#include "common/pure/sha256.h"
#include "common/task/environment.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096 /* power of two */

static struct worker_function **bucket_of(struct functions *t, const uint8_t *hash)
{
	uint32_t n;
	memcpy(&n, hash, sizeof n);
	return &t->buckets[n & (BUCKETS - 1)];
}

void functions_init(struct functions *t)
{
	*t = (struct functions){.buckets = mem_alloc(BUCKETS * sizeof *t->buckets)};
	list_init(&t->idle);
}

static void function_free(struct worker_function *f)
{
	function_fini(&f->f);
	buf_fini(&f->env);
	free(f->bad);
	free(f->name);
	free(f);
}

static void forget(struct functions *t, struct worker_function *f)
{
	assert(f->refs == 0);
	struct worker_function **at = bucket_of(t, f->hash);
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	list_del(&f->idle);
	t->idle_count--;
	function_free(f);
}

void functions_fini(struct functions *t)
{
	if (!t->buckets)
		return;
	while (!list_empty(&t->idle))
		forget(t, container_of(t->idle.next, struct worker_function, idle));
	free(t->buckets);
	*t = (struct functions){0};
}

static struct worker_function *find(struct functions *t, const uint8_t *hash)
{
	for (struct worker_function *f = *bucket_of(t, hash); f; f = f->next)
		if (memcmp(f->hash, hash, DIGEST_SIZE) == 0)
			return f;
	return NULL;
}

/* ---- environment */

void function_outer_env(const struct function *f, Cashet__Pair *const *pairs,
			size_t count, struct buf *out, uint32_t *countp)
{
	bool has_path = false;
	for (size_t i = 0; i < count; i++) {
		environment_add(out, countp, f, pairs[i]->key, pairs[i]->value);
		has_path = has_path || !strcmp(pairs[i]->key, "PATH");
	}
	if (!count)
		has_path = environment_add_ours(out, countp, f);
	if (!has_path)
		environment_add(out, countp, f, "PATH", ENVIRONMENT_PATH);
}

/* ---- the table */

static struct worker_function *create(struct functions *t, const uint8_t *hash,
				      const ProtobufCBinaryData *description)
{
	struct worker_function *f = mem_alloc(sizeof *f);
	memcpy(f->hash, hash, DIGEST_SIZE);
	if (function_decode(description->data, description->len, &f->f))
		f->bad = mem_strdup("this worker does not understand the function's "
				    "description; is it older than the client?");
	struct worker_function **bucket = bucket_of(t, hash);
	f->next = *bucket;
	*bucket = f;
	list_add_tail(&t->idle, &f->idle);
	t->idle_count++;
	return f;
}

/* The further files count: a source is laid out with those that one description names. */
static void set_source(struct worker_function *f, const ProtobufCBinaryData *digest)
{
	struct sha256 s;
	f->has_source = digest->len == DIGEST_SIZE && !f->bad;
	if (!f->has_source)
		return;
	memcpy(f->source, digest->data, DIGEST_SIZE);
	sha256_init(&s);
	sha256_update(&s, f->source, DIGEST_SIZE);
	sha256_update(&s, function_is_call(&f->f) ? "f" : "c", 1);
	for (size_t i = 0; i < f->f.code_count; i++) {
		const struct function_code *c = &f->f.code[i];
		const uint8_t kind[2] = {c->executable, c->scheme};
		sha256_update(&s, c->path, strlen(c->path) + 1);
		sha256_update(&s, kind, sizeof kind);
		sha256_update(&s, c->digest, DIGEST_SIZE);
	}
	sha256_final(&s, f->source_key);
}

struct worker_function *functions_add(struct functions *t,
				      const Cashet__AssignedFunction *m)
{
	uint8_t hash[DIGEST_SIZE];
	sha256_digest(m->description.data, m->description.len, hash);
	if (m->func_hash.len != DIGEST_SIZE ||
	    memcmp(hash, m->func_hash.data, DIGEST_SIZE))
		return NULL;
	struct worker_function *f = find(t, hash);
	if (!f)
		f = create(t, hash, &m->description);
	free(f->name);
	f->name = mem_strdup(m->name ? m->name : "");
	set_source(f, &m->source);
	buf_reset(&f->env);
	f->env_count = 0;
	function_outer_env(&f->f, m->env, m->n_env, &f->env, &f->env_count);
	return f;
}

struct worker_function *functions_find_ref(struct functions *t,
					   const uint8_t hash[DIGEST_SIZE])
{
	struct worker_function *f = find(t, hash);
	if (f && f->refs++ == 0) {
		list_del(&f->idle);
		t->idle_count--;
	}
	return f;
}

void functions_unref(struct functions *t, struct worker_function *f)
{
	if (!f || --f->refs > 0)
		return;
	list_add_tail(&t->idle, &f->idle);
	t->idle_count++;
	while (t->idle_count > FUNCTIONS_IDLE_MAX)
		forget(t, container_of(t->idle.next, struct worker_function, idle));
}

bool function_is_plain(const struct function *f)
{
	return !f->code_count && !f->input_count && !f->output_count && !f->metrics;
}
