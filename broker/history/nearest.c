/* nearest.c - see nearest.h. */
#include "broker/history/nearest.h"

#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

#define NEWEST 128   /* commits one behind the other */
#define JUMPS 200    /* places further back */
#define JUMP_TAKES 2 /* commits at each */
#define SAMPLES_MAX (NEWEST + JUMPS * JUMP_TAKES + 8)
#define ARGS_KEPT (64u << 10)
#define VERSIONS_MAX 16
#define TUPLES_MAX 16
#define CONTENTS_MAX 8 /* of one input */
#define LOOKUPS_MAX 400
#define BATCHES_MAX 2
#define BATCH_TASKS_MAX 400000 /* of one that is looked into */
#define DURATIONS 64
#define FAR 1000000u

struct version { /* of the function */
	uint8_t hash[DIGEST_SIZE];
	bool known;
	struct function function;
};

struct sample {
	uint64_t seq, duration_ns;
	uint32_t version;
	uint8_t batch[DIGEST_SIZE];
	uint32_t index;
	bool failed, has_args;
	uint8_t args_hash[DIGEST_SIZE];
	struct args args;
};

struct nearest {
	struct history *h;
	char *name;
	uint64_t before;
	struct sample *samples; /* newest first */
	size_t count, capacity;
	struct version **versions; /* in order of appearance */
	size_t version_count, version_capacity;
	uint32_t tuples[TUPLES_MAX]; /* samples with inputs that no newer one has */
	size_t tuple_count;
	struct buf arena, args;
};

/* ---- versions of the function ---- */

static struct version *version_of(struct nearest *n, const uint8_t hash[DIGEST_SIZE],
				  const uint8_t batch[DIGEST_SIZE], uint32_t index,
				  uint32_t *numberp)
{
	for (size_t i = 0; i < n->version_count; i++) {
		if (memcmp(n->versions[i]->hash, hash, DIGEST_SIZE))
			continue;
		*numberp = (uint32_t)i;
		return n->versions[i];
	}
	CLEANUP_BUF struct buf description = {0};
	struct version *v = mem_alloc(sizeof *v);
	memcpy(v->hash, hash, DIGEST_SIZE);
	v->known = !history_description(n->h, hash, batch, index, &description, NULL) &&
		   !function_decode(description.data, description.size, &v->function);
	mem_grow(n->versions, n->version_count, n->version_capacity);
	*numberp = (uint32_t)n->version_count;
	return n->versions[n->version_count++] = v;
}

const struct function *nearest_function(struct nearest *n,
					const uint8_t hash[DIGEST_SIZE],
					const uint8_t batch[DIGEST_SIZE], uint32_t index)
{
	uint32_t number;
	const struct version *v = version_of(n, hash, batch, index, &number);
	return v->known ? &v->function : NULL;
}

/* ---- the sample ---- */

/* Return: the sample made of this commit; NULL if it cannot be read. */
static struct sample *add_sample(struct nearest *n, const struct ledger_commit_row *row)
{
	struct commit c;
	buf_reset(&n->arena);
	if (!row->body || commit_decode(row->body, row->size, &c, &n->arena))
		return NULL;
	assert(n->count < n->capacity);
	struct sample *s = &n->samples[n->count];
	*s = (struct sample){.seq = row->seq,
			     .duration_ns = c.duration_ns,
			     .index = c.index,
			     .failed = c.status != COMMIT_COMPLETED};
	memcpy(s->batch, c.batch, DIGEST_SIZE);
	sha256_digest(c.args, c.args_size, s->args_hash);
	version_of(n, c.func_hash, c.batch, c.index, &s->version);
	s->has_args =
		c.args_size <= ARGS_KEPT && !args_decode(c.args, c.args_size, &s->args);
	n->count++;
	return s;
}

struct taking {
	struct nearest *n;
	size_t left;
	uint64_t last;
};

static int take(void *arg, const struct ledger_commit_row *row)
{
	struct taking *t = arg;
	t->last = row->seq;
	add_sample(t->n, row);
	return --t->left == 0;
}

static bool same_inputs(const struct args *a, const struct args *b)
{
	if (a->input_count != b->input_count)
		return false;
	for (size_t i = 0; i < a->input_count; i++)
		if (memcmp(&a->inputs[i].content, &b->inputs[i].content, CONTENT_SIZE))
			return false;
	return true;
}

static void find_tuples(struct nearest *n)
{
	for (size_t i = 0; i < n->count && n->tuple_count < TUPLES_MAX; i++) {
		bool seen = !n->samples[i].has_args;
		for (size_t k = 0; !seen && k < n->tuple_count; k++)
			seen = same_inputs(&n->samples[i].args,
					   &n->samples[n->tuples[k]].args);
		if (!seen)
			n->tuples[n->tuple_count++] = (uint32_t)i;
	}
}

struct nearest *nearest_load(struct history *h, const char *name, uint64_t before)
{
	struct nearest *n = mem_alloc(sizeof *n);
	struct ledger_reader *r = history_reader(h);
	n->h = h;
	n->name = mem_strdup(name);
	n->before = before;
	/* Never more: what points into the array stays there. */
	n->capacity = SAMPLES_MAX;
	n->samples = mem_alloc(n->capacity * sizeof *n->samples);
	struct taking t = {.n = n, .left = NEWEST};
	if (!r)
		return n;
	ledger_each_named(r, name, before, take, &t);
	uint64_t gap = 16;
	for (unsigned i = 0; i < JUMPS && t.left == 0 && t.last > gap; i++) {
		uint64_t from = t.last - gap;
		t.left = JUMP_TAKES;
		ledger_each_named(r, name, from, take, &t);
		gap += gap / 8;
	}
	find_tuples(n);
	return n;
}

void nearest_free(struct nearest *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->count; i++)
		args_fini(&n->samples[i].args);
	for (size_t i = 0; i < n->version_count; i++) {
		function_fini(&n->versions[i]->function);
		free(n->versions[i]);
	}
	free(n->samples);
	free(n->versions);
	free(n->name);
	buf_fini(&n->arena);
	buf_fini(&n->args);
	free(n);
}

bool nearest_is_empty(const struct nearest *n)
{
	return n->count == 0;
}

uint64_t nearest_duration(const struct nearest *n)
{
	uint64_t sum = 0, count = 0;
	for (size_t i = 0; i < n->count && count < DURATIONS; i++) {
		if (n->samples[i].failed)
			continue;
		sum += n->samples[i].duration_ns;
		count++;
	}
	return count ? sum / count : 0;
}

/* ---- searching ---- */

struct search {
	struct nearest *n;
	const struct print *p;
	struct compare_side now;
	unsigned lookups;
	bool found;
	uint64_t seq;
	unsigned distance;
	bool same_index;
};

static void consider(struct search *s, const struct sample *c)
{
	struct nearest *n = s->n;
	const struct version *v = n->versions[c->version];
	struct compare_side old = {.function = v->known ? &v->function : NULL,
				   .args = c->has_args ? &c->args : NULL,
				   .func_hash = v->hash,
				   .args_hash = c->args_hash};
	if (s->found && c->seq == s->seq)
		return;
	unsigned distance =
		s->p->batch && !memcmp(c->batch, s->p->batch, DIGEST_SIZE) ? FAR : 0;
	if (s->found && distance > s->distance)
		return;
	distance += compare_distance(&old, &s->now, s->found ? s->distance + 1 : FAR);
	bool same_index = c->index == s->p->index;
	bool better = !s->found || distance < s->distance ||
		      (distance == s->distance &&
		       (same_index != s->same_index ? same_index : c->seq > s->seq));
	if (!better)
		return;
	s->found = true;
	s->seq = c->seq;
	s->distance = distance;
	s->same_index = same_index;
}

static int consider_row(void *arg, const struct ledger_commit_row *row)
{
	struct search *s = arg;
	if (s->n->before && row->seq >= s->n->before)
		return 0;
	struct sample *c = add_sample(s->n, row);
	if (!c)
		return 0;
	consider(s, c);
	args_fini(&c->args); /* it was there for this question only */
	s->n->count--;
	return 1;
}

static bool may_look(struct search *s)
{
	return s->lookups++ < LOOKUPS_MAX;
}

static void look_up(struct search *s, const uint8_t *func_hash, const uint8_t *args_hash)
{
	if (may_look(s))
		ledger_each_run(history_reader(s->n->h), func_hash, args_hash,
				consider_row, s);
}

/* The newest versions first. @known_only: those whose parameters and inputs are known. */
static void other_functions(struct search *s, const uint8_t *args_hash)
{
	struct nearest *n = s->n;
	for (size_t i = 0; i < n->version_count && i < VERSIONS_MAX; i++)
		if (memcmp(n->versions[i]->hash, s->p->func_hash, DIGEST_SIZE))
			look_up(s, n->versions[i]->hash, args_hash);
}

/* Of a call with the contents of @inputs where its own are: their places are the same. */
static void encode_call(struct buf *out, const struct args *args,
			const struct args_input *inputs, size_t count)
{
	if (call_args_encode(out, args->call))
		return;
	for (size_t i = 0; i < count; i++)
		memcpy(out->data + args->inputs[i].offset, &inputs[i].content,
		       CONTENT_SIZE);
}

static void hash_args(struct search *s, struct args_input *inputs, size_t count,
		      uint8_t hash[DIGEST_SIZE])
{
	struct args args = {.values = s->p->args->values,
			    .value_count = s->p->args->value_count,
			    .inputs = inputs,
			    .input_count = count};
	buf_reset(&s->n->args);
	if (s->p->args->call)
		encode_call(&s->n->args, s->p->args, inputs, count);
	else
		args_encode(&s->n->args, &args);
	sha256_digest(s->n->args.data, s->n->args.size, hash);
}

/* Of two calls: are they at the same places, and files of one name? */
static bool same_labels(const struct args *a, const struct args *b)
{
	if (!a->call || !b->call || a->input_count != b->input_count)
		return false;
	for (size_t i = 0; i < a->input_count; i++)
		if (strcmp(a->inputs[i].label, b->inputs[i].label) ||
		    strcmp(a->inputs[i].names[0], b->inputs[i].names[0]))
			return false;
	return true;
}

static bool same_input_names(const struct version *v, const struct sample *c,
			     const struct print *p)
{
	const struct function *a = &v->function, *b = p->function;
	if (p->args->call || c->args.call)
		return same_labels(&c->args, p->args);
	if (a->input_count != b->input_count)
		return false;
	for (size_t i = 0; i < a->input_count; i++)
		if (strcmp(a->inputs[i], b->inputs[i]))
			return false;
	return true;
}

/* Our parameters with all the inputs of a sample, under our function and under its. */
static void other_inputs(struct search *s)
{
	struct nearest *n = s->n;
	const struct print *p = s->p;
	for (size_t i = 0; i < n->tuple_count; i++) {
		struct sample *c = &n->samples[n->tuples[i]];
		const struct version *v = n->versions[c->version];
		uint8_t hash[DIGEST_SIZE];
		if (!v->known || !same_input_names(v, c, p) ||
		    same_inputs(&c->args, p->args))
			continue;
		hash_args(s, c->args.inputs, c->args.input_count, hash);
		look_up(s, p->func_hash, hash);
		if (!s->found || s->distance >= FAR)
			other_functions(s, hash);
	}
}

/* Our arguments with one input of a sample's: tasks that share one input and not another. */
static void one_other_input(struct search *s)
{
	struct nearest *n = s->n;
	const struct print *p = s->p;
	size_t count = p->args->input_count;
	if (count < 2)
		return;
	struct args_input *inputs = mem_copy(p->args->inputs, count * sizeof *inputs);
	for (size_t i = 0; i < count; i++) {
		size_t tried = 0;
		for (size_t k = 0; k < n->tuple_count && tried < CONTENTS_MAX; k++) {
			const struct sample *c = &n->samples[n->tuples[k]];
			const struct version *v = n->versions[c->version];
			uint8_t hash[DIGEST_SIZE];
			if (!v->known || !same_input_names(v, c, p) ||
			    !memcmp(&c->args.inputs[i].content,
				    &p->args->inputs[i].content, CONTENT_SIZE))
				continue;
			inputs[i] = c->args.inputs[i];
			hash_args(s, inputs, count, hash);
			look_up(s, p->func_hash, hash);
			inputs[i] = p->args->inputs[i];
			tried++;
		}
	}
	free(inputs);
}

struct at_index {
	uint32_t index;
	uint64_t commit;
};

static int note_end(void *arg, const struct ledger_end *end)
{
	struct at_index *at = arg;
	if (end->index != at->index)
		return 0;
	at->commit = end->commit;
	return 1;
}

/* What stood at our place in the batch before, however many tasks that had. */
static void same_place(struct search *s)
{
	struct nearest *n = s->n;
	const uint8_t *seen[BATCHES_MAX];
	size_t seen_count = 0;
	for (size_t i = 0; i < n->count && seen_count < BATCHES_MAX; i++) {
		const uint8_t *id = n->samples[i].batch;
		bool known = s->p->batch && !memcmp(id, s->p->batch, DIGEST_SIZE);
		for (size_t k = 0; !known && k < seen_count; k++)
			known = !memcmp(id, seen[k], DIGEST_SIZE);
		if (known)
			continue;
		seen[seen_count++] = id;
		struct ledger_batch_row row;
		size_t found = 0;
		struct at_index at = {.index = s->p->index};
		if (ledger_find_batch(history_reader(n->h), id, 2 * DIGEST_SIZE, &row, 1,
				      &found) ||
		    row.task_count > BATCH_TASKS_MAX)
			continue;
		ledger_each_end(history_reader(n->h), row.batch.batch, note_end, &at);
		CLEANUP_BUF struct buf body = {0};
		struct ledger_commit_row commit;
		if (at.commit && !ledger_read_commit_row(history_reader(n->h), at.commit,
							 &body, &commit))
			consider_row(s, &commit);
	}
}

int nearest_find(struct nearest *n, const struct print *p, bool deep, uint64_t *seqp)
{
	struct search s = {.n = n,
			   .p = p,
			   .now = {.function = p->function,
				   .args = p->args,
				   .func_hash = p->func_hash,
				   .args_hash = p->args_hash}};
	if (!n->count)
		return 1;
	other_functions(&s, p->args_hash);
	if (p->function && p->args && (!s.found || s.distance >= FAR)) {
		other_inputs(&s);
		one_other_input(&s);
	}
	if (!s.found || s.distance >= FAR) {
		for (size_t i = 0; i < n->count; i++)
			consider(&s, &n->samples[i]);
		if (deep)
			same_place(&s);
	}
	*seqp = s.seq;
	return !s.found;
}
