/* attempt.c - see attempt.h. */
#include "worker/attempt.h"

#include "common/pure/mem.h"
#include "worker/runner/runner.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS 8192 /* power of two */
#define GRACE_DEFAULT_NS (5 * NS_PER_S)
#define BIT(state) (1u << (state))

static const uint32_t edges[ATTEMPT_STATES] = {
	[ATTEMPT_UNKNOWN] =
		BIT(ATTEMPT_SOURCE) | BIT(ATTEMPT_WAITING) | BIT(ATTEMPT_DONE),
	[ATTEMPT_SOURCE] = BIT(ATTEMPT_WAITING) | BIT(ATTEMPT_DONE),
	[ATTEMPT_WAITING] = BIT(ATTEMPT_PREPARING) | BIT(ATTEMPT_SENT) |
			    BIT(ATTEMPT_RUNNING) | BIT(ATTEMPT_DONE),
	[ATTEMPT_PREPARING] = BIT(ATTEMPT_PREPARED) | BIT(ATTEMPT_DONE),
	[ATTEMPT_PREPARED] = BIT(ATTEMPT_SENT) | BIT(ATTEMPT_RUNNING) | BIT(ATTEMPT_DONE),
	[ATTEMPT_SENT] =
		BIT(ATTEMPT_RUNNING) | BIT(ATTEMPT_WAITING) | BIT(ATTEMPT_PREPARED),
	[ATTEMPT_RUNNING] = BIT(ATTEMPT_COLLECTING) | BIT(ATTEMPT_DONE) |
			    BIT(ATTEMPT_WAITING) | BIT(ATTEMPT_PREPARED),
	[ATTEMPT_COLLECTING] = BIT(ATTEMPT_DONE),
	[ATTEMPT_DONE] = BIT(ATTEMPT_COLLECTING),
};

/* Those that wait to start keep their order, whatever is done for them meanwhile. */
static struct list *list_of(struct attempts *t, enum attempt_state state)
{
	if (state == ATTEMPT_PREPARING || state == ATTEMPT_PREPARED)
		state = ATTEMPT_WAITING;
	return &t->lists[state];
}

void attempts_init(struct attempts *t)
{
	*t = (struct attempts){.buckets = mem_alloc(BUCKETS * sizeof *t->buckets)};
	for (int i = 0; i < ATTEMPT_STATES; i++)
		list_init(&t->lists[i]);
}

void attempts_fini(struct attempts *t)
{
	assert(t->count == 0);
	free(t->buckets);
	*t = (struct attempts){0};
}

static struct attempt **bucket_of(const struct attempts *t, uint64_t epoch)
{
	return &t->buckets[(epoch * 0x9e3779b97f4a7c15ull) >> 51];
}

struct attempt *attempts_find(const struct attempts *t, uint64_t epoch)
{
	for (struct attempt *a = *bucket_of(t, epoch); a; a = a->next)
		if (a->lease.epoch == epoch)
			return a;
	return NULL;
}

struct attempt *attempts_find_task(const struct attempts *t, const Cashet__LogRead *m)
{
	if (m->epoch)
		return attempts_find(t, m->epoch);
	if (!m->batch || m->batch->prefix.len != DIGEST_SIZE)
		return NULL;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct attempt *a = t->buckets[i]; a; a = a->next)
			if (a->lease.index == m->index &&
			    memcmp(a->lease.batch, m->batch->prefix.data, DIGEST_SIZE) ==
				    0)
				return a;
	return NULL;
}

/* ---- options */

struct attempt_options *attempt_options_new(const Cashet__Options *m)
{
	struct attempt_options *o = mem_alloc(sizeof *o);
	o->refs = 1;
	o->timeout_ns = m ? m->timeout_ns : 0;
	o->grace_ns = m && m->grace_ns ? m->grace_ns : GRACE_DEFAULT_NS;
	o->stdout_is_result = m && m->stdout_is_result;
	resources_set(&o->resources, "cpus", 1000);
	for (size_t i = 0; m && i < m->n_resources; i++)
		resources_set(&o->resources, m->resources[i]->name,
			      m->resources[i]->milli);
	if (m && m->interpreter && *m->interpreter)
		o->interpreter = mem_strdup(m->interpreter);
	o->is_forked = m && m->isolation == CASHET__OPTIONS__ISOLATION__FORK;
	if (m && m->n_externs) {
		o->externs = mem_alloc(m->n_externs * sizeof *o->externs);
		o->extern_count = m->n_externs;
		for (size_t i = 0; i < m->n_externs; i++)
			o->externs[i] = (struct layout_extern){
				m->externs[i]->input,
				m->externs[i]->member,
				mem_strdup(m->externs[i]->path),
			};
	}
	if (m && m->n_secrets) {
		o->secrets = mem_alloc(m->n_secrets * sizeof *o->secrets);
		o->secret_count = m->n_secrets;
		for (size_t i = 0; i < m->n_secrets; i++)
			o->secrets[i] = mem_strdup(m->secrets[i]);
	}
	return o;
}

void attempt_options_unref(struct attempt_options *o)
{
	if (!o || --o->refs > 0)
		return;
	for (size_t i = 0; i < o->extern_count; i++)
		free(o->externs[i].path);
	free(o->externs);
	for (size_t i = 0; i < o->secret_count; i++)
		free(o->secrets[i]);
	free(o->secrets);
	free(o->interpreter);
	kind_unref(o->kind);
	free(o);
}

/* ---- leases */

static bool take_bytes(uint8_t *to, const ProtobufCBinaryData *from, size_t size)
{
	if (from->len != size)
		return false;
	memcpy(to, from->data, size);
	return true;
}

static bool take_lease(struct attempt_lease *to, const Cashet__Lease *m)
{
	if (!m || !take_bytes(to->batch, &m->batch, DIGEST_SIZE) ||
	    !take_bytes(to->func_hash, &m->func_hash, DIGEST_SIZE) ||
	    !take_bytes(to->args_hash, &m->args_hash, DIGEST_SIZE) ||
	    !take_bytes(to->worker, &m->worker, KEY_SIZE) ||
	    !take_bytes(to->mac, &m->mac, sizeof to->mac))
		return false;
	to->has_nonce = m->nonce.len > 0;
	if (to->has_nonce && !take_bytes(to->nonce, &m->nonce, NONCE_SIZE))
		return false;
	to->index = m->index;
	to->epoch = m->epoch;
	return true;
}

void lease_to_message(Cashet__Lease *m, struct attempt_lease *l)
{
	cashet__lease__init(m);
	m->batch = (ProtobufCBinaryData){DIGEST_SIZE, l->batch};
	m->index = l->index;
	m->epoch = l->epoch;
	m->func_hash = (ProtobufCBinaryData){DIGEST_SIZE, l->func_hash};
	m->args_hash = (ProtobufCBinaryData){DIGEST_SIZE, l->args_hash};
	m->nonce = (ProtobufCBinaryData){l->has_nonce ? NONCE_SIZE : 0, l->nonce};
	m->worker = (ProtobufCBinaryData){KEY_SIZE, l->worker};
	m->mac = (ProtobufCBinaryData){sizeof l->mac, l->mac};
}

/* ---- attempts */

/* One that is malformed is as good as none. */
static void take_checkpoint(struct attempt_checkpoint *to, const Cashet__Checkpoint *m)
{
	const Cashet__Content *c = m->content;
	to->has_content = c && c->type == CONTENT_TREE &&
			  take_bytes(to->digest, &c->digest, DIGEST_SIZE);
	if (m->left_out[0])
		to->left_out = mem_strdup(m->left_out);
}

const struct dir *attempt_log_dir(const struct attempt *a)
{
	return a->runner ? a->runner->dir : a->dir;
}

bool attempt_is_plain(const struct attempt *a)
{
	if (a->kind)
		return a->is_light;
	return function_is_plain(&a->function->f) && !a->checkpoint.has_content &&
	       !a->checkpoint.left_out && !a->options->secret_count;
}

struct attempt *attempt_new(struct attempts *t, const Cashet__Assignment *m,
			    struct attempt_options *options, uint64_t now_ns)
{
	struct attempt_lease lease;
	if (!take_lease(&lease, m->lease))
		return NULL;
	struct attempt *a = mem_alloc(sizeof *a);
	a->lease = lease;
	a->options = options;
	options->refs++;
	a->name = mem_strdup(m->name);
	a->args = mem_copy(m->args.data, m->args.len);
	a->args_size = m->args.len;
	a->number = m->attempt;
	a->number_max = m->attempts_max;
	if (m->checkpoint)
		take_checkpoint(&a->checkpoint, m->checkpoint);
	a->received_ns = now_ns;
	a->kill_ns = TIME_NEVER;
	list_init(&a->call_link);
	struct attempt **bucket = bucket_of(t, lease.epoch);
	a->next = *bucket;
	*bucket = a;
	t->count++;
	a->state = ATTEMPT_UNKNOWN;
	t->counts[ATTEMPT_UNKNOWN]++;
	list_add_tail(&t->lists[ATTEMPT_UNKNOWN], &a->link);
	return a;
}

void attempt_become(struct attempts *t, struct attempt *a, enum attempt_state state)
{
	assert(edges[a->state] & BIT(state));
	bool moves = list_of(t, a->state) != list_of(t, state);
	t->counts[a->state]--;
	t->counts[state]++;
	a->state = state;
	if (moves) {
		list_del(&a->link);
		list_add_tail(list_of(t, state), &a->link);
	}
}

void attempt_free(struct attempts *t, struct attempt *a)
{
	assert(!a->slot && !a->dir && !a->has_grant && !a->function && !a->upload);
	assert(!a->runner && !a->check && !a->kind);
	assert(a->state != ATTEMPT_PREPARING);
	struct attempt **at = bucket_of(t, a->lease.epoch);
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	list_del(&a->link);
	t->counts[a->state]--;
	t->count--;
	prepare_free(a->prepare);
	report_free(a->report);
	attempt_options_unref(a->options);
	buf_fini(&a->env);
	free(a->checkpoint.left_out);
	free(a->fault);
	free(a->name);
	free(a->args);
	free(a);
}
